"""Evaluate fills: the function behind `inpaint eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from ..arguments import AnyPath, check_arguments
from ..errors import ArgumentError
from ..models.choose import LoadedModel, ModelRef

if TYPE_CHECKING:
    from .measure import Evaluation
    from .protocols import Plan
    from .samples import EvalSamples


@dataclass(frozen=True)
class EvalResult:
    """The scores of a set of fills by a protocol."""

    evaluation: Evaluation
    samples: EvalSamples
    files: Sequence[Path] = ()  # written into `output`
    main_process: bool = True  # False in the other processes of `torchrun`

    @property
    def title(self) -> str:
        """The name of what was evaluated."""
        return self.evaluation.title

    @property
    def notes(self) -> list[str]:
        """Sentences on the protocol, skipped metrics, and files without a partner."""
        from .results import result_notes

        return result_notes(self.evaluation)

    @property
    def heading(self) -> str:
        """The title, the protocol and its fingerprint, and where the masks are from."""
        plan = self.evaluation.plan
        masks = f", masks {source}" if (source := self.evaluation.mask_source) else ""
        return f"{self.title} by {plan.name} ({plan.fingerprint}){masks}"

    @property
    def table(self) -> str:
        """Metrics by bins, as lines of text."""
        from .results import results_table

        return results_table(self.evaluation).text()

    def published(self, data: str | None = None) -> list[str]:
        """Return the tables of the protocol's paper with these scores added, as lines of text.

        `data` is the data set of the tables to return. Raises `DataError` where there is none.
        """
        from .results import published_tables

        tables = published_tables(self.evaluation, data)
        return [f"{table.caption}\n{table.text()}" for table in tables]

    def to_dict(self) -> dict[str, Any]:
        """Return what result.json holds, as plain values."""
        from .results import results_data

        return results_data(self.evaluation)

    def write(self, folder: str | Path, *, worst: int = 8) -> list[Path]:
        """Write report.html, result.json, images.csv and worst.png; return their paths.

        `worst` is the number of images on worst.png, which are read or filled again for it.
        """
        from .results import write_results

        return write_results(self.evaluation, self.samples, Path(folder), worst=worst)


@check_arguments
def evaluate(
    results: AnyPath | None = None,
    truth: AnyPath | None = None,
    *,
    masks: AnyPath | None = None,
    model: str | Path | ModelRef | LoadedModel | None = None,
    data: AnyPath | None = None,
    recipe: AnyPath | None = None,
    split: str | None = None,
    count: PositiveInt | None = None,
    set: Sequence[str] = (),
    protocol: AnyPath = "house",
    features: Literal["published", "random", "none"] = "published",
    seed: NonNegativeInt = 0,
    size: PositiveInt | None = None,
    resize: PositiveInt | None = None,
    pad: Literal["constant", "edge"] | None = None,
    device: str = "auto",
    output: AnyPath | None = None,
    overwrite: bool = False,
    worst: NonNegativeInt = 8,
    title: str | None = None,
) -> EvalResult:
    """Measure fills by a protocol: the fills in a folder, or those that a model makes now.

    Give `results`, a folder of fills under the names of the photos in `truth`; or a `model` (see
    `load_model`), which fills the photos in `data`, a folder, zip file or list, at the size of the
    protocol, or else `size`, or else that of `recipe`; with `resize` it is given squares of that
    many pixels a side, stretched or with `pad` padded. By a `recipe` the photos are those of its
    validation, or of another `split`; with `count` only so many from the first, and `set` has
    changes of the recipe such as "data.train.labels={}.png".
    `masks` is a folder, a zip file or one mask for all photos; without it no holes are scored, or
    with a model they are drawn as `recipe` says. `protocol` is a name or a YAML file. `features`
    are the weights of networks inside metrics; "none" skips such metrics. The report goes into the
    folder `output`, with the `worst` images; `overwrite` replaces an earlier one. Under `torchrun`
    processes share the work.

    Raises `ArgumentError`, or another `InpaintError` where files do not fit together.

    >>> print(evaluate("filled", "truth", features="none").table)  # doctest: +SKIP
    """
    from .measure import evaluation_device, is_main_process, measure_samples
    from .results import check_results_free

    if output:
        check_results_free(Path(output), overwrite=overwrite)
    source = EvalSource(
        results, truth, masks, model, data, recipe, split, count, set, size, resize, pad
    )
    plan = source.plan(str(protocol), features)
    where = evaluation_device(device)
    samples = source.open(plan, seed, str(where))
    evaluation = measure_samples(
        samples, plan, title=title or source.title, seed=seed, device=where
    )
    result = EvalResult(evaluation, samples, main_process=is_main_process())
    written = result.write(output, worst=worst) if output and result.main_process else ()
    return replace(result, files=written)


@dataclass(frozen=True)
class EvalSource:
    """The fills to evaluate: those in the folder `results`, or those of a model."""

    results: Any
    truth: Any
    masks: Any
    model: Any
    data: Any
    recipe: Any
    split: str | None
    count: int | None
    set: Sequence[str]
    size: int | None
    resize: int | None
    pad: Literal["constant", "edge"] | None

    def __post_init__(self) -> None:
        if self.model is not None:
            needed, excluded = ("data",), ("results", "truth")
            why = "cannot be combined with a model"
        else:
            needed = ("results", "truth")
            excluded = ("data", "recipe", "split", "count", "size", "resize", "pad")
            why = "needs a model; give one too"
        for name in excluded:
            if getattr(self, name) is not None:
                raise ArgumentError(name, why)
        for name in needed:
            if getattr(self, name) is None:
                raise ArgumentError(name, "is missing; give results and truth, or model and data")
        for name, other in (("split", "recipe"), ("set", "recipe"), ("pad", "resize")):
            if getattr(self, name) and getattr(self, other) is None:
                raise ArgumentError(name, f"needs {other}; give one too")

    @property
    def title(self) -> str:
        """The name of the folder, or of the model and the size it is resized to."""
        if self.results:
            return self.results.resolve().name
        sizes = [f", {self.resize}" if self.resize else "", f" pad {self.pad}" if self.pad else ""]
        return model_title(self.model) + "".join(sizes)

    def plan(self, protocol: str, features: str) -> Plan:
        """Return the protocol at the size of these samples."""
        from .protocols import plan_at_size, read_protocol
        from .samples import recipe_data

        plan, trained = (
            read_protocol(protocol, features=features),
            recipe_data(self.recipe, self.set),
        )
        size = self.size or plan.protocol.size or (trained.size if trained else None)
        return plan_at_size(plan, size, trained)

    def open(self, plan: Plan, seed: int, device: str) -> EvalSamples:
        """Pair the files in the folders, or load the model."""
        from .samples import Photos, model_results, pair_results

        if self.results:
            return pair_results(self.results, self.truth, self.masks, plan.protocol)
        return model_results(
            self.model,
            Photos(self.data, self.recipe, self.split, self.count, self.set),
            self.masks,
            plan.protocol,
            seed=seed,
            device=device,
            resize=self.resize,
            pad=self.pad,
        )


def model_title(model: str | Path | ModelRef | LoadedModel) -> str:
    """Return the name of a model, or of its weights file."""
    if isinstance(model, ModelRef):
        model = model.name or model.weights or model.chosen[0]
    return model.name if isinstance(model, LoadedModel) else Path(model).stem
