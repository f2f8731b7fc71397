"""List the trainings in a folder, and compare them: recipes in a table, curves on a page. No torch.

A training that runs holds a lock in its folder; a finished one has taken all steps of its recipe,
or has ended early as its recipe says; any other was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ..arguments import AnyPath, check_arguments
from ..errors import DataError
from ..files.plain_yaml import load_yaml
from ..recipe.read import settings_differences
from ..reports import html as report
from ..reports.text import Table
from ..wording import number_text
from .folder import RunFolder, log_curves, read_log

State = Literal["running", "stopped", "finished"]
CURVES = {"Losses": ("train", "losses"), "Validation": ("validation", "scores"),
          "Learning rates": ("train", "rates"), "Gradient norms": ("train", "norms"),
          "Speed": ("train", "images_per_second")}  # fmt: skip
LOGARITHMIC = ("Losses", "Learning rates", "Gradient norms")


@dataclass(frozen=True)
class RunSummary:
    """How far a training is, and how good."""

    folder: Path
    architecture: str
    state: State
    step: int
    steps: int  # of its recipe
    scores: Mapping[str, float]  # of the last validation
    best: Mapping[str, float]  # of the one whose weights are best.safetensors; none so far: empty
    best_step: int | None
    note: str = ""  # why it ended early

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return vars(self) | {"folder": str(self.folder)}


@dataclass(frozen=True)
class RunComparison:
    """Several runs: the settings in which their recipes differ, and their scores."""

    runs: Sequence[RunSummary]
    settings: Mapping[str, Sequence[Any]]  # by key, a value for each run
    page: Path | None = None  # with the curves

    @property
    def table(self) -> str:
        """Settings and scores as lines of text, with a column for each run."""
        head = ["", *(run.folder.name for run in self.runs)]
        rows = [[key, *map(setting_text, values)] for key, values in self.settings.items()]
        rows.append(["step", *(f"{run.step} of {run.steps}" for run in self.runs)])
        for part in ("scores", "best"):
            for name in dict.fromkeys(name for run in self.runs for name in getattr(run, part)):
                values = [getattr(run, part).get(name, float("nan")) for run in self.runs]
                label = name if part == "scores" else f"best {name}"
                rows.append([label, *map(number_text, values)])
        return Table(head, rows).text()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "runs": [run.to_dict() for run in self.runs],
            "settings": {key: list(values) for key, values in self.settings.items()},
        }


@check_arguments
def list_runs(folder: AnyPath = "runs") -> list[RunSummary]:
    """Return the trainings below `folder`, or the one that it is, sorted by name.

    Raises `DataError` if there are none.

    >>> list_runs("runs")[0].state  # doctest: +SKIP
    'finished'
    """
    place = Path(folder)
    found = sorted(path.parent for path in place.glob("**/log.jsonl") if is_run(path.parent))
    if not found:
        raise DataError(f"{place} has no trainings; `inpaint train` puts them into the folder runs")
    return [describe_run_folder(path) for path in found]


@check_arguments
def compare_runs(folders: Sequence[AnyPath], output: AnyPath | None = None) -> RunComparison:
    """Compare trainings: in which settings their recipes differ, and how they score.

    `output` is an HTML page to write, with the curves of all runs laid over each other.

    >>> print(compare_runs(["runs/a", "runs/b"]).table)  # doctest: +SKIP
    """
    places = [RunFolder(Path(folder)) for folder in folders]
    for place in places:
        if not is_run(place.path):
            raise DataError(f"{place.path} is no folder of a training; `inpaint runs` lists them")
    runs = [describe_run_folder(place.path) for place in places]
    recipes = [read_recipe_values(place) for place in places]
    keys = dict.fromkeys(
        key for other in recipes[1:] for key, _, _ in settings_differences(recipes[0], other)
    )
    settings = {key: [value_at(recipe, key) for recipe in recipes] for key in keys}
    comparison = RunComparison(runs, settings, Path(output) if output else None)
    if output:
        write_comparison(Path(output), comparison, places)
    return comparison


def is_run(path: Path) -> bool:
    """Whether a training has begun in the folder `path`."""
    folder = RunFolder(path)
    return folder.log.is_file() and folder.recipe.is_file()


def describe_run_folder(path: Path) -> RunSummary:
    """Return how far the training in a folder is."""
    folder = RunFolder(path)
    recipe, events = read_recipe_values(folder), read_log(folder.log)
    name, section = next(iter(recipe.get("architectures", {}).items()), ("", {}))
    steps = sum(int(stage.get("steps") or 0) for stage in section.get("stages", {}).values())
    validations = [event for event in events if event["event"] == "validation"]
    best = next((event for event in reversed(validations) if event.get("best")), None)
    step = max((event["step"] for event in events), default=0)
    ended = next((event for event in events if event["event"] == "end"), None)
    state: State = "finished" if ended or (steps and step >= steps) else "stopped"
    return RunSummary(
        path,
        name,
        "running" if is_locked(folder) else state,
        step,
        steps,
        validations[-1]["scores"] if validations else {},
        {best["best"]: best["scores"][best["best"]]} if best else {},
        best["step"] if best else None,
        ended["reason"] if ended else "",
    )


def is_locked(folder: RunFolder) -> bool:
    """Whether a training runs in a folder, in a process of this machine."""
    if not folder.lock.exists():
        return False
    lock = FileLock(folder.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:  # a folder that may only be read
        return False
    lock.release()
    return False


def read_recipe_values(folder: RunFolder) -> dict[str, Any]:
    """Return the settings in a run's recipe. Raises `DataError` if it is damaged."""
    try:
        values = load_yaml(folder.recipe.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{folder.recipe} cannot be read: {error}") from error
    return values if isinstance(values, dict) else {}


def value_at(values: Any, key: str) -> Any:
    """Return the value at "a.b.c" in a tree of settings; None where there is none."""
    for name in key.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def setting_text(value: Any) -> str:
    return "-" if value is None else str(value)


def runs_table(runs: Sequence[RunSummary], folder: Path) -> str:
    """Return runs as a table of text: state, step and scores of each."""
    rows = []
    for run in runs:
        best = "".join(
            f"{name} {value:.4g} at step {run.best_step}" for name, value in run.best.items()
        )
        name = run.folder.relative_to(folder).as_posix()
        state = f"{run.state} ({run.note})" if run.note else run.state
        steps = f"{run.step} of {run.steps}"
        rows.append([run.folder.name if name == "." else name, state, steps, best or "-"])
    return Table(["run", "state", "step", "best"], rows).text()


def write_comparison(path: Path, comparison: RunComparison, folders: Sequence[RunFolder]) -> None:
    """Write the page of a comparison: the settings that differ, the scores, and all curves."""
    names = [run.folder.name for run in comparison.runs]
    if len({*names}) < len(names):
        names = [str(run.folder) for run in comparison.runs]
    logs = dict(zip(names, (read_log(folder.log) for folder in folders), strict=True))
    span = (0.0, float(max(run.step for run in comparison.runs)))
    rows = [[key, *map(setting_text, values)] for key, values in comparison.settings.items()]
    parts: list[report.Part] = [report.Heading("Recipes")]
    parts.append(Table(["", *names], rows) if rows else report.Text("The recipes are the same."))
    for title, (event, key) in CURVES.items():
        curves = {name: log_curves(log, event, key) for name, log in logs.items()}
        shared = dict.fromkeys(label for own in curves.values() for label in own)
        parts += [report.Heading(title)] * bool(shared)
        for label in shared:
            lines = {name: own[label] for name, own in curves.items() if label in own}
            log = title in LOGARITHMIC
            parts.append(report.Curves(lines, label, logarithmic=log, x_span=span))
    path.parent.mkdir(parents=True, exist_ok=True)
    report.write_page(path, f"{' and '.join(names)}", parts)
