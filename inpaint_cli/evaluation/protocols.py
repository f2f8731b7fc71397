"""Protocols: every convention of an evaluation under one name, as data.

A protocol is a YAML file of the package, or the user's own. Its conventions, the resolved settings
of its metrics and the versions of the packages they use are hashed into a fingerprint: results with
equal fingerprints can be compared, others cannot.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from ..api.settings import Settings
from ..errors import RecipeError, unknown_name
from ..recipe.schema import Data, Named, Resize
from ..recipe.source import RecipeSource, read_yaml
from ..registry import find_plugins, plugin_origin

if TYPE_CHECKING:
    from ..api.metrics import Metric

ALL = "all"  # the column of the whole set
PROSE = {"summary", "source", "notes", "masks", "published", "printed"}  # determines no score
INTERVAL = re.compile(r"([\[(])\s*([\d.]+)\s*,\s*([\d.]+)\s*([\])])")


def check_interval(interval: str) -> str:
    if not INTERVAL.fullmatch(interval):
        raise ValueError(f"'{interval}' is not an interval in percent, such as '[20, 40)'")
    return interval


def interval_bounds(interval: str) -> tuple[float, float]:
    """Return the bounds (0 to 1) of an interval that is written in percent."""
    match = INTERVAL.fullmatch(interval)
    assert match, interval
    return float(match[2]) / 100, float(match[3]) / 100


def in_interval(interval: str, ratio: float) -> bool:
    """Return whether `ratio` (0 to 1) is in `interval`, which is written in percent."""
    match = INTERVAL.fullmatch(interval)
    assert match, interval
    left, low, high, right = match.groups()
    percent = round(ratio * 100, 9)  # 0.3 is 30 %, not 30.000000000000004
    above = percent >= float(low) if left == "[" else percent > float(low)
    return above and (percent <= float(high) if right == "]" else percent < float(high))


def in_column(column: str, ratio: float, shape: str, only: Sequence[str] = ()) -> bool:
    """Return whether an image of `shape`, "768x1024", with that hole ratio counts in `column`.

    If there are intervals in `only`, no image with a hole outside of them counts.
    """
    if ratio and only and not any(in_interval(interval, ratio) for interval in only):
        return False
    if INTERVAL.fullmatch(column):
        return in_interval(column, ratio)
    return column in (ALL, shape)


Interval = Annotated[str, AfterValidator(check_interval)]
ShapeText = Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")]  # "768x1024", height x width


class PublishedTable(Settings):
    """A table from a paper: by metric and method, one value for each column."""

    data: str = Field(description="Data set on which it was measured.")
    columns: tuple[str, ...] = Field(description="Bins or shapes of the protocol, or 'all'.")
    rows: dict[str, dict[str, tuple[float | None, ...]]] = Field(
        description="Values by metric and method; null where the paper has none."
    )
    images: PositiveInt | None = Field(
        default=None, description="Images of its test set, if the paper says how many."
    )
    note: str = Field(default="", description="What makes it hard to compare with.")


class PrintedTable(Settings):
    """A table from a paper of what this protocol does not measure, such as votes or times."""

    title: str = Field(description="What it is of.")
    columns: tuple[str, ...] = Field(description="Heads of its columns.")
    rows: dict[str, tuple[float | str | None, ...]] = Field(description="Values by method.")


class Protocol(Settings):
    """The conventions of an evaluation: how images are prepared, measured and averaged."""

    summary: str = Field(description="One line for `inpaint protocols`.")
    source: str = Field(default="", description="Paper or script that it follows.")
    notes: tuple[str, ...] = Field(default=(), description="Notes printed with every result.")
    masks: str = Field(default="", description="Masks of the paper, which others may replace.")
    size: PositiveInt | None = Field(
        default=None, description="Pixels a side of every image; null: as it is."
    )
    shapes: tuple[ShapeText, ...] = Field(
        default=(),
        description="Shapes HEIGHTxWIDTH: a model fills the centre of each photo in each of them.",
    )
    fit: Literal["stretch", "cover"] = Field(
        default="stretch", description="How a model's photos are brought to `size`."
    )
    zoom: PositiveFloat = Field(
        default=1.0, description="With `cover`: shorter side over `size` before the centre crop."
    )
    resize: Resize = Field(
        default="antialias",
        description="Filter that brings a model's photos to `size`: bilinear with antialiasing, "
        "OpenCV's bilinear one without (opencv), or the nearest pixel.",
    )
    levels: Literal["round", "truncate", "float"] = Field(
        default="round", description="How values become 8-bit levels; float: they do not."
    )
    composite: bool = Field(
        default=True, description="Replace the visible part of a fill by the truth."
    )
    bins: tuple[Interval, ...] = Field(
        default=(),
        description="Intervals of the hole ratio in percent, such as '[20, 40)'. With `shapes`, no "
        "other hole counts.",
    )
    per_bin: bool = Field(
        default=False, description="A model fills each photo once a bin, with a mask of that bin."
    )
    samples: PositiveInt = Field(
        default=1, description="Fills of each photo; only the best one is scored."
    )
    best: str | None = Field(default=None, description="Metric that selects the best sample.")
    metrics: dict[str, Named] = Field(min_length=1, description="Metrics by their labels.")
    published: tuple[PublishedTable, ...] = Field(
        default=(), description="Tables of the paper, printed next to the results."
    )
    printed: tuple[PrintedTable, ...] = Field(
        default=(), description="Other tables of the paper, for the report."
    )

    @property
    def only(self) -> tuple[str, ...]:
        """The intervals to which the holes of all images are restricted, if any."""
        return self.bins if self.shapes else ()

    @model_validator(mode="after")
    def consistent(self) -> Protocol:
        if (self.best is None) != (self.samples == 1) or self.best not in (None, *self.metrics):
            raise ValueError("`best` must name a metric if `samples` is more than 1, and only then")
        if self.shapes and (self.size or self.per_bin):
            raise ValueError("`shapes` cannot be combined with `size` or `per_bin`")
        for table in self.published:
            if extra := set(table.columns) - {*self.bins, *self.shapes, ALL}:
                raise ValueError(
                    f"{table.data} has columns that are not bins or shapes: {', '.join(extra)}"
                )
            if extra := set(table.rows) - set(self.metrics):
                raise ValueError(f"{table.data} has rows without a metric: {', '.join(extra)}")
        return self


@dataclass(frozen=True)
class Plan:
    """A protocol with its metrics built, as one evaluation uses it."""

    name: str
    protocol: Protocol
    metrics: Mapping[str, Metric]
    versions: Mapping[str, str]
    left_out: Sequence[str] = ()  # metrics skipped because they need a network

    @property
    def conventions(self) -> dict[str, Any]:
        """Everything that determines a score, as plain data."""
        fields = self.protocol.model_dump(exclude=PROSE)
        fields["metrics"] = {
            label: {"kind": self.protocol.metrics[label].kind, **metric.model_dump()}
            for label, metric in self.metrics.items()
        }
        return {**fields, "versions": dict(self.versions)}

    @property
    def fingerprint(self) -> str:
        """A hash of the conventions."""
        text = json.dumps(self.conventions, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_at_size(plan: Plan, size: int | None, data: Data | None = None) -> Plan:
    """Return `plan` at `size` pixels a side if its protocol does not fix the size.

    Images come to it as in the training by `data`, if any: stretched, or cropped in the centre.
    Raises `RecipeError` where `size` is not the one that the protocol fixes.
    """
    fixed = plan.protocol.size
    if size is None or size == fixed or plan.protocol.shapes:
        return plan
    if fixed:
        raise RecipeError(f"{plan.name} is for {fixed}x{fixed}: leave out --size {size}")
    update: dict[str, Any] = {"size": size, "fit": "cover"}
    if data is not None:
        update["resize"] = data.resize
        update["fit"] = "stretch" if data.fit == "stretch" else "cover"
    return replace(plan, protocol=plan.protocol.model_copy(update=update))


def protocols_dir() -> Path:
    return Path(__file__).parent / "builtin"


def protocol_names() -> list[str]:
    """Return the names of the protocols of the package, sorted."""
    return sorted(path.stem for path in protocols_dir().glob("*.yaml"))


def list_protocols() -> dict[str, str]:
    """Return the one-line summary of each protocol of the package, by its name. Imports no torch.

    >>> list_protocols()["house"]
    'Images of any size, with pixel, structural, perceptual and seam metrics (the default)'
    """
    return {name: load_protocol(name)[0].summary for name in protocol_names()}


def show_protocol(name: str) -> dict[str, Any]:
    """Return all conventions of the protocol `name` (or of a YAML file) as plain data.

    Settings of metrics are written out; `fingerprint` is what `inpaint eval` prints.

    >>> show_protocol("mdrnets-table1")["size"]
    256
    """
    plan = read_protocol(name)
    about = plan.protocol.model_dump(mode="json", include={"summary", "source", "notes", "masks"})
    published = plan.protocol.model_dump(mode="json", include={"published", "printed"})
    conventions = json.loads(json.dumps(plan.conventions))
    return {"name": plan.name, **about, "fingerprint": plan.fingerprint, **conventions, **published}


def load_protocol(name: str) -> tuple[Protocol, RecipeSource]:
    """Return the protocol called `name`, or in the YAML file `name`, and where it was read."""
    path = protocols_dir() / f"{name}.yaml"
    if name not in protocol_names():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            raise RecipeError(unknown_name("protocol", name, protocol_names()))
    source = RecipeSource(path)
    return source.check(Protocol, read_yaml(path, source)), source


def read_protocol(name: str, *, features: str = "published") -> Plan:
    """Return the protocol called `name`, or in the YAML file `name`, with its metrics built.

    `features` says which weights networks inside metrics use: "published" ones, "random" ones
    (marked in tables), or "none": these metrics are left out.
    """
    protocol, source = load_protocol(name)
    metrics, left_out, versions = {}, [], {}
    for label, settings in protocol.metrics.items():
        metric: Metric = source.plugin("metrics", settings, ("metrics", label))
        if "weights" in type(metric).model_fields:
            if features == "none":
                left_out.append(label)
                continue
            metric = metric.model_copy(update={"weights": features})
        metrics[label] = metric
        owner, _, release = plugin_origin(find_plugins("metrics")[settings.kind][0]).rpartition(" ")
        try:
            versions |= {owner: release, **{name: version(name) for name in metric.uses}}
        except PackageNotFoundError as error:
            raise source.error(
                ("metrics", label), f"needs the package {error.name}, which is not installed"
            ) from error
    if protocol.best in left_out or not metrics:
        raise RecipeError(f"{name} needs networks for its metrics; leave out --features none")
    return Plan(Path(name).stem, protocol, metrics, dict(sorted(versions.items())), left_out)
