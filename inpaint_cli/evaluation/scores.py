"""Compare two results of one test set, image by image."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..api.metrics import ImageMetric, Metric
from ..arguments import AnyPath, check_arguments
from ..errors import DataError, blame_path
from ..recipe.read import settings_differences
from ..recipe.schema import Named
from ..recipe.source import RecipeSource
from ..reports.text import Table
from ..wording import json_number, number_text
from .bootstrap import difference_interval
from .protocols import ALL, in_column

RESULT_FILES = ("report.html", "result.json", "images.csv", "worst.png")  # of `inpaint eval -o`
KEYS = {"title", "fingerprint", "content", "seed", "conventions", "table", "images"}


@dataclass(frozen=True)
class ScoreDifference:
    """A metric in two results, and the 95 % confidence interval of second - first.

    The interval is NaN for metrics of whole sets.
    """

    first: float
    second: float
    low: float = math.nan
    high: float = math.nan
    better: str | None = None  # title of the better result; None: the interval contains 0


@dataclass(frozen=True)
class ScoreComparison:
    """Two results on one test set, compared image by image."""

    titles: tuple[str, str]
    images: int
    metrics: Mapping[str, ScoreDifference]

    @property
    def table(self) -> str:
        """The comparison as lines of text."""
        rows = [
            [
                label,
                number_text(d.first),
                number_text(d.second),
                number_text(d.second - d.first, "+.4g"),
                "-" if math.isnan(d.low) else f"[{d.low:+.4g}, {d.high:+.4g}]",
                d.better or "-",
            ]
            for label, d in self.metrics.items()
        ]
        return Table(["", *self.titles, "difference", "95 %", "better"], rows).text()

    @property
    def notes(self) -> list[str]:
        """Sentences that explain the table."""
        return [
            f"paired over {self.images} images; better: the 95 % interval of the difference does"
            " not contain 0"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all values for JSON: NaN is None, infinity is "inf"."""
        metrics = {
            label: {
                "first": json_number(d.first),
                "second": json_number(d.second),
                "difference": json_number(d.second - d.first),
                "low": json_number(d.low),
                "high": json_number(d.high),
                "clear": d.better,
            }
            for label, d in self.metrics.items()
        }
        return {"titles": self.titles, "images": self.images, "metrics": metrics}


@check_arguments
def compare_scores(
    a: AnyPath | Mapping[str, Any], b: AnyPath | Mapping[str, Any]
) -> ScoreComparison:
    """Compare two results of one test set under one protocol, image by image.

    `a` and `b` are files result.json that `evaluate` wrote, or what `EvalResult.to_dict` returned.
    Raises `DataError` where they cannot be compared, naming what differs.

    >>> comparison = compare_scores("telea/result.json", "mine/result.json")  # doctest: +SKIP
    >>> print(comparison.table)  # doctest: +SKIP
    """
    first, second = read_result(a), read_result(b)
    names = [r["title"] if isinstance(r, Mapping) else str(r) for r in (a, b)]
    if first["fingerprint"] != second["fingerprint"]:
        differences = settings_differences(first["conventions"], second["conventions"])
        text = ", ".join(f"{key}: {one} or {other}" for key, one, other in differences)
        raise DataError(
            f"{names[0]} and {names[1]} were measured by different conventions"
            f" ({text or 'the fingerprint'}); evaluate both by one protocol"
        )
    if first["content"] != second["content"]:
        raise DataError(
            f"{names[0]} and {names[1]} are of different photos or holes; evaluate both on one "
            "test set"
        )
    metrics = {}
    source = RecipeSource(Path(names[0]))
    for label, settings in first["conventions"]["metrics"].items():
        where = ("conventions", "metrics", label)
        metric = source.plugin("metrics", Named.model_validate(settings), where)
        metrics[label] = score_difference(label, metric, first, second)
    return ScoreComparison((first["title"], second["title"]), len(first["images"]), metrics)


def score_difference(
    label: str, metric: Metric, a: Mapping[str, Any], b: Mapping[str, Any]
) -> ScoreDifference:
    """Return the difference of two results in the metric called `label`."""
    first, second = (parse_number(result["table"][label][ALL]["value"]) for result in (a, b))
    if not isinstance(metric, ImageMetric):
        return ScoreDifference(first, second)
    scores = np.array(
        [[parse_number(image[label]) for image in result["images"]] for result in (a, b)]
    )
    only = a["conventions"].get("bins", ()) if a["conventions"].get("shapes") else ()
    counted = [in_column(ALL, image["ratio"], "", only) for image in a["images"]]
    ours, theirs = scores[:, np.isfinite(scores).all(0) & np.array(counted)]
    low, high = difference_interval(theirs, ours, metric.average, a["seed"])
    better = None
    if low > 0 or high < 0:
        better = b["title"] if (low > 0) == (metric.better == "higher") else a["title"]
    return ScoreDifference(first, second, low, high, better)


@blame_path
def read_result(result: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the contents of a result.json, or `result` itself if it is such contents."""
    content: Any = result
    if not isinstance(result, Mapping):
        try:
            content = json.loads(Path(result).read_text("utf-8"))
        except (OSError, ValueError):
            content = None
    if not isinstance(content, Mapping) or not content.keys() >= KEYS:
        name = "this" if isinstance(result, Mapping) else result
        raise DataError(f"{name} is not a complete result.json; `inpaint eval -o` writes them")
    return content


def parse_number(value: float | str | None) -> float:
    """Return the number that `json_number` turned into `value`."""
    return math.nan if value is None else float(value)
