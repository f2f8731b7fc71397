"""Log losses, and write scores, sheets, states and weights into the run folder."""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..errors import TrainingError
from ..files.write import atomic_path
from ..models import weights
from ..reports import contact_sheet as sheets
from . import checkpoint
from .build import Built
from .ema import AveragedNetwork
from .feed import Feed
from .folder import RunFolder
from .log import RunLog, print_message
from .loop import Step
from .origin import Upstream, list_origins
from .validate import Validation, Verdict

MUCH_WAITING = 0.2  # share of the time spent waiting for data that causes a warning
STATE_IS_GOOD = (
    "the last saved state is good: lower the rate or set clip, and use --resume --allow-changes"
)


@dataclass
class LossMeter:
    """Losses and speed since they were last logged; logging waits for the device."""

    feed: Feed
    built: Built
    accelerator: Accelerator
    log: RunLog
    recent: list[Step] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)
    warned: bool = False

    def add(self, step: Step) -> None:
        """Note the losses of a step, and move the bar."""
        self.recent.append(step)
        self.log.advance()

    def log_losses(self, step: Step) -> None:
        """Log the mean losses since the last time. Raises `TrainingError` if one is not finite."""
        losses = self.mean_losses()
        elapsed = time.perf_counter() - self.since
        speed = len(self.recent) * (self.built.stages[step.stage].batch or 0) / elapsed
        waited = self.feed.waited / elapsed
        self.log.show(step.stage, losses, speed, waited)
        self.log.note(
            "train",
            step.done,
            {
                "stage": step.stage,
                "losses": losses,
                "rates": dict(step.rates),
                **({"norms": norms} if (norms := self.mean_norms()) else {}),
                "images_per_second": round(speed, 3),
                "data_share": round(waited, 4),
            },
        )
        if waited > MUCH_WAITING and len(self.recent) > 1 and not self.warned:
            self.warned = True
            print_message(
                f"{waited:.0%} of the time was spent waiting for data; use more --workers (now "
                f"{self.feed.workers}), or images that are closer to their training size"
            )
        self.restart()

    def mean_losses(self) -> dict[str, float]:
        """Return the mean of each loss over the recent steps and all processes."""
        values = [loss for past in self.recent for loss in past.losses.values()]
        empty = torch.empty(0, device=self.accelerator.device)  # if all phases were lazy
        reduced: Any = self.accelerator.reduce(torch.stack(values) if values else empty, "mean")
        numbers = iter(reduced.tolist())
        terms: dict[str, list[float]] = {}
        for past in self.recent:
            for name in past.losses:
                value = next(numbers)
                if not math.isfinite(value):
                    raise TrainingError(
                        f"step {past.done}, stage '{past.stage}': the loss {name} is {value}; "
                        f"{STATE_IS_GOOD}"
                    )
                terms.setdefault(name, []).append(value)
        return {name: math.fsum(past) / len(past) for name, past in terms.items()}

    def mean_norms(self) -> dict[str, float]:
        """Return the mean norm of the gradient of each phase over the recent steps."""
        norms: dict[str, list[float]] = {}
        for past in self.recent:
            for name, norm in past.norms.items():
                norms.setdefault(name, []).append(float(norm))
        return {name: math.fsum(past) / len(past) for name, past in norms.items()}

    def restart(self) -> None:
        """Forget the recent steps, and measure from now on."""
        self.recent.clear()
        self.feed.waited = 0.0
        self.since = time.perf_counter()


@dataclass
class Saver:
    """Writer of scores, sheets, states and weights, and of the best weights."""

    built: Built
    folder: RunFolder
    accelerator: Accelerator
    validation: Validation
    average: AveragedNetwork
    facts: Mapping[str, Any]
    upstream: Sequence[Upstream] = ()
    best: float | None = None
    stale: int = 0  # validations since the best

    def validate(self, step: Step, log: RunLog) -> None:
        """Score what the stage trains, and keep the best weights of the whole network."""
        verdict = self.validation(self.built.task, self.average.net, self.accelerator)
        scores = verdict.scores
        name = self.built.recipe.keep.best or next(iter(scores), "")
        better = verdict.whole and name in scores and self.is_best(name, scores[name])
        self.stale = 0 if better else self.stale + (verdict.whole and name in scores)
        if better:
            self.best = scores[name]
        if self.accelerator.is_main_process:
            self.report(step, log, verdict, {"best": name} if better else {})
            if better:
                self.write(self.folder.best, step, {name: f"{scores[name]:.6g}"})

    def report(self, step: Step, log: RunLog, verdict: Verdict, best: Mapping[str, str]) -> None:
        """Log and print the scores of a validation, and write its sheet."""
        scores = verdict.scores
        text = ", ".join(f"{name} {score:.4g}" for name, score in scores.items())
        if verdict.rows:
            heading = f"{self.folder.path.name}, step {step.done}, stage {step.stage}: {text}"
            page = sheets.contact_sheet(verdict.rows, cell=256, heading=heading)
            with atomic_path(self.folder.sheet(step.done)) as temporary:
                page.save(temporary)
            log.picture("samples", page, step.done)
            text = text or "wrote a sheet of samples"
        log.note("validation", step.done, {"stage": step.stage, "scores": scores, **best})
        print_message(
            f"step {step.done}: {text or f'stage {step.stage} trains nothing that fills'}"
        )
        if verdict.alike:
            print_message("two fills of one hole hardly differ yet: by less than 1 of 255")

    @property
    def is_stale(self) -> bool:
        """Whether the score has not become better for as long as the recipe waits."""
        patience = self.built.recipe.patience
        return patience is not None and self.stale >= patience

    def is_best(self, name: str, score: float) -> bool:
        """Whether `score` is better than all before, by the metric `name`."""
        if self.best is None or math.isnan(self.best):
            return True
        higher = self.validation.metrics[name].better == "higher"
        return score > self.best if higher else score < self.best

    def save(self, step: Step) -> None:
        """Write state and weights, and remove old ones.

        Raises `TrainingError` if a parameter is not finite.
        """
        if not self.accelerator.is_main_process:
            return
        broken = [k for k, p in self.built.task.named_parameters() if not p.isfinite().all()]
        if broken:
            raise TrainingError(
                f"step {step.done}, stage '{step.stage}': {broken[0]} is no longer finite; "
                f"{STATE_IS_GOOD}"
            )
        state, kept = self.folder.kept(step.done)
        self.write(kept, step, {})
        with atomic_path(self.folder.weights) as temporary:
            shutil.copyfile(kept, temporary)
        skipped = [name for name, stage in self.built.stages.items() if not stage.steps]
        own = {"average": self.average.net.state_dict(), "best": self.best, "skipped": skipped}
        own |= {"stale": self.stale}
        own |= {"facts": dict(self.facts), "upstream": [asdict(each) for each in self.upstream]}
        checkpoint.write_state(state, step.state() | own)
        self.folder.prune(self.built.recipe.keep.last)

    def write(self, path: Path, step: Step, scores: Mapping[str, str]) -> None:
        """Write the averaged network as a weights file, with `scores` in its header."""
        without = self.built.task.without()
        weights.write_weights(
            path,
            self.built.name,
            self.built.settings,
            self.average.net,
            notes={
                "licence": self.built.inputs.train.licence or "that of the training images",
                "recipe": self.built.recipe.summary,
                **dict(list_origins(self.built, self.facts, self.upstream)),
                "step": str(step.done),
                "stage": step.stage,
                **({"without": ", ".join(without)} if without else {}),
                **scores,
            },
        )
