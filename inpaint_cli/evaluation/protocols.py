"""Protocols: every convention of an evaluation under one name, as data.

A protocol is a YAML file beside the package's others, or the user's own. What it fixes, the
resolved settings of its metrics and the versions of the packages that they use make its
fingerprint: results with equal fingerprints may be compared, others may not.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from ..api.metrics import Metric
from ..api.settings import Settings
from ..errors import RecipeError, unknown_name
from ..recipe.schema import Named
from ..recipe.source import RecipeSource, read_yaml
from ..registry import find_plugins, plugin_origin

ALL = "all"  # the column of the whole set
NETWORKS = ("published", "random", "none")  # what --features takes
INTERVAL = re.compile(r"([\[(])\s*([\d.]+)\s*,\s*([\d.]+)\s*([\])])")


def check_interval(interval: str) -> str:
    if not INTERVAL.fullmatch(interval):
        raise ValueError(f"'{interval}' is no interval of percents like '[20, 40)'")
    return interval


def in_interval(interval: str, ratio: float) -> bool:
    """Whether the hole's share of the picture lies in `interval`, which is written in percent."""
    match = INTERVAL.fullmatch(interval)
    assert match, interval
    left, low, high, right = match.groups()
    at = round(ratio * 100, 9)  # 0.3 of a picture is 30 %, not 30.000000000000004
    over = at >= float(low) if left == "[" else at > float(low)
    return over and (at <= float(high) if right == "]" else at < float(high))


def in_column(column: str, ratio: float, shape: str) -> bool:
    """Whether a picture of `shape`, "768x1024", and a hole of that share is counted in `column`."""
    if INTERVAL.fullmatch(column):
        return in_interval(column, ratio)
    return column in (ALL, shape)


class PublishedTable(Settings):
    """A table that a paper printed: by metric and method, one value a column."""

    data: str  # the set it was measured on
    columns: tuple[str, ...]  # intervals of the protocol, shapes, or "all"
    rows: dict[str, dict[str, tuple[float | None, ...]]]


class Protocol(Settings):
    """What an evaluation does to pictures, what it measures, and how it sums up."""

    summary: str
    source: str = ""  # the paper or the script it follows
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know
    size: PositiveInt | None = None  # pixels a side of every picture; None: as it is
    shapes: tuple[Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")], ...] = ()  # "768x1024",
    # height x width: a model fills each photo once in each, the largest part around its middle
    fit: Literal["stretch", "cover"] = "stretch"  # how a model's photos come to that size
    zoom: PositiveFloat = 1.0  # of cover: the shorter side before the centre is cut out
    levels: Literal["round", "truncate", "float"] = "round"  # to 8 bits, or not
    composite: bool = True  # the truth is laid over the fill where it is visible
    bins: tuple[Annotated[str, AfterValidator(check_interval)], ...] = ()  # of the hole's share
    per_bin: bool = False  # a model fills each photo once a bin, with a mask from it
    samples: PositiveInt = 1  # fills of a photo, of which the best is scored
    best: str | None = None  # the metric that chooses it
    metrics: dict[str, Named] = Field(min_length=1)
    published: tuple[PublishedTable, ...] = ()

    @model_validator(mode="after")
    def consistent(self) -> "Protocol":
        if (self.best is None) != (self.samples == 1) or self.best not in (None, *self.metrics):
            raise ValueError("`best` names a metric, exactly where there are several `samples`")
        if self.shapes and (self.size or self.per_bin):
            raise ValueError("`shapes` go with neither `size` nor `per_bin`")
        for table in self.published:
            if extra := set(table.columns) - {*self.bins, *self.shapes, ALL}:
                raise ValueError(
                    f"{table.data} has columns that are no bins or shapes: {', '.join(extra)}"
                )
            if extra := set(table.rows) - set(self.metrics):
                raise ValueError(f"{table.data} has rows of no metric: {', '.join(extra)}")
        return self


@dataclass(frozen=True)
class Plan:
    """A protocol with its metrics built, as one evaluation uses it."""

    name: str
    protocol: Protocol
    metrics: Mapping[str, Metric]
    versions: Mapping[str, str]
    left_out: Sequence[str] = ()  # metrics whose networks are not to be used

    @property
    def conventions(self) -> dict[str, Any]:
        """Everything that makes a number what it is, as plain data."""
        told = self.protocol.model_dump(exclude={"summary", "source", "notes", "published"})
        told["metrics"] = {
            label: {"kind": self.protocol.metrics[label].kind, **metric.model_dump()}
            for label, metric in self.metrics.items()
        }
        return {**told, "versions": dict(self.versions)}

    @property
    def fingerprint(self) -> str:
        told = json.dumps(self.conventions, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def plan_at_size(plan: Plan, size: int | None) -> Plan:
    """`plan` at `size` pixels a side, where its protocol leaves the size open.

    Raises `RecipeError` where `size` is not the one that the protocol fixes.
    """
    fixed = plan.protocol.size
    if size is None or size == fixed or plan.protocol.shapes:
        return plan
    if fixed:
        raise RecipeError(f"{plan.name} is for {fixed}x{fixed}: leave out --size {size}")
    update = {"size": size, "fit": "cover"}
    return replace(plan, protocol=plan.protocol.model_copy(update=update))


def protocols_dir() -> Path:
    return Path(__file__).parent / "builtin"


def protocol_names() -> list[str]:
    """The protocols that ship with us."""
    return sorted(path.stem for path in protocols_dir().glob("*.yaml"))


def read_protocol(name: str, *, features: str = "published") -> Plan:
    """The protocol called `name`, or in the file `name`, with its metrics.

    `features` says what networks inside metrics run on: "published" weights, "random" ones (their
    numbers are labelled so), or "none": those metrics are left out.
    """
    path = protocols_dir() / f"{name}.yaml"
    if name not in protocol_names():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            raise RecipeError(unknown_name("protocol", name, protocol_names()))
    source = RecipeSource(path)
    protocol = source.check(Protocol, read_yaml(path, source))
    metrics, left_out, versions = {}, [], {}
    for label, asked in protocol.metrics.items():
        metric: Metric = source.plugin("metrics", asked, ("metrics", label))
        if "weights" in type(metric).model_fields:
            if features == "none":
                left_out.append(label)
                continue
            metric = metric.model_copy(update={"weights": features})
        metrics[label] = metric
        owner, _, release = plugin_origin(find_plugins("metrics")[asked.kind][0]).rpartition(" ")
        versions |= {owner: release, **{name: version(name) for name in metric.uses}}
    if protocol.best in left_out or not metrics:
        raise RecipeError(f"{name} cannot do without networks; leave out --features none")
    return Plan(Path(name).stem, protocol, metrics, dict(sorted(versions.items())), left_out)
