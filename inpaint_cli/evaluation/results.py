"""What is left of an evaluation: tables, files, a page to look at, and comparisons of two."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..api.metrics import ImageMetric, Metric
from ..api.tensors import to_uint8
from ..errors import DataError
from ..files.write import atomic_path
from ..recipe.read import settings_differences
from ..recipe.schema import Named
from ..recipe.source import RecipeSource
from ..reports import contact_sheet as sheets
from ..reports import html
from ..reports.html import Curves, Figure, Heading, Listing, Part, Text
from ..reports.text import Table
from . import bootstrap as statistics
from .measure import Result, Score, TableLine, table_lines
from .protocols import ALL, in_column
from .samples import EvalSamples

PARTS = {"title", "fingerprint", "content", "seed", "conventions", "table", "images"}
CONFIDENCE = "in brackets, the bounds of 95 % of re-drawn sets"


def write_results(
    result: Result, cases: EvalSamples, folder: Path, *, worst: int = 8
) -> list[Path]:
    """Write result.json, images.csv, worst.png and report.html into `folder`."""
    everything = results_data(result)
    with atomic_path(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n", "utf-8")
    with (
        atomic_path(folder / "images.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, list(everything["images"][0]))
        table.writeheader()
        table.writerows(everything["images"])
    page = worst_sheet(result, cases, worst)
    with atomic_path(folder / "worst.png") as temporary:
        page.save(temporary)
    parts = report_parts(result, page)
    html.write_page(folder / "report.html", f"{result.title}: {result.plan.name}", parts)
    return [folder / name for name in ("report.html", "result.json", "images.csv", "worst.png")]


def results_data(result: Result) -> dict[str, Any]:
    """The whole result as plain values; NaN becomes null and infinity a word."""
    plan = result.plan
    return {
        "title": result.title,
        "protocol": plan.name,
        "fingerprint": plan.fingerprint,
        "content": result.content,
        "seed": result.seed,
        "conventions": plan.conventions,
        "notes": [*result_notes(result)],
        "metrics": {
            label: {"better": line.better, "unit": line.metric.unit, "note": line.note}
            for label, line in table_lines(plan).items()
        },
        "table": {
            label: {
                column: {
                    "value": plain_number(v.value),
                    "low": plain_number(v.low),
                    "high": plain_number(v.high),
                    "count": v.count,
                }
                for column, v in columns.items()
            }
            for label, columns in result.table.items()
        },
        "images": [
            {
                "name": row.name,
                "ratio": round(row.ratio, 6),
                "sample": row.sample,
                **{label: plain_number(score) for label, score in row.scores.items()},
            }
            for row in result.rows
        ],
    }


def plain_number(value: float) -> float | str | None:
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def parse_number(value: float | str | None) -> float:
    """What `plain` was given."""
    return math.nan if value is None else float(value)


def number_text(value: float, form: str = ".4g") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def result_notes(result: Result) -> list[str]:
    """What a reader of the numbers must know."""
    plan = result.plan
    left_out = ", ".join(plan.left_out)
    return [
        *plan.protocol.notes,
        *([f"left out with their networks: {left_out}"] if left_out else []),
        *result.notes,
    ]


def line_title(label: str, line: TableLine) -> str:
    """A line as tables call it: with unit, better end and what must be said about it."""
    note = f", {line.note}" if line.note else ""
    unit = f" {line.metric.unit}" if line.metric.unit else ""
    return f"{label}{unit} {'↑' if line.better == 'higher' else '↓'}{note}"


def score_text(value: Score, *, bounds: bool) -> str:
    text = number_text(value.value)
    if bounds and not math.isnan(value.low):
        text += f" [{value.low:.4g}, {value.high:.4g}]"
    return text


def results_table(result: Result, *, bounds: Sequence[str] = (ALL,)) -> Table:
    """Metrics down, bins across, with how many images each has; intervals in columns `bounds`."""
    columns = list(next(iter(result.table.values())))
    counts = [sum(in_column(c, row.ratio, row.shape) for row in result.rows) for c in columns]
    head = ["", *(f"{c} %" if c in result.plan.protocol.bins else c for c in columns)]
    rows = [["images", *map(str, counts)]]
    for label, line in table_lines(result.plan).items():
        values = result.table[label].items()
        cells = [score_text(value, bounds=column in bounds) for column, value in values]
        rows.append([line_title(label, line), *cells])
    return Table(head, rows, CONFIDENCE)


def published_tables(result: Result, only: str | None = None) -> list[Table]:
    """The tables that the protocol's paper printed, each with our row below the others'."""
    tables = []
    published, known = result.plan.protocol.published, table_lines(result.plan)
    if only is not None and only not in [p.data for p in published]:
        sets = ", ".join(p.data for p in published) or "none"
        raise DataError(f"{result.plan.name} has no published table of '{only}'; it has: {sets}")
    for printed in published:
        if only not in (None, printed.data):
            continue
        for label, methods in printed.rows.items():
            line = known.get(label)
            if line is None or line.note:
                continue  # another network's numbers have no place beside the paper's
            rows = [
                [method, *("-" if v is None else f"{v:g}" for v in values)]
                for method, values in methods.items()
            ]
            missing = Score(math.nan, math.nan, math.nan, 0)
            ours = [result.table[label].get(column, missing) for column in printed.columns]
            rows.append([f"{result.title} (here)", *(score_text(v, bounds=False) for v in ours)])
            head = [line_title(label, line), *printed.columns]
            tables.append(Table(head, rows, f"{printed.data}, as published"))
    return tables


def ranking_text(result: Result) -> str:
    """The metric by which images are called the worst: the first that scores images."""
    metrics = result.plan.metrics
    return next((k for k, m in metrics.items() if isinstance(m, ImageMetric)), "")


def worst_sheet(result: Result, cases: EvalSamples, count: int) -> Image.Image:
    """The worst images: what was shown, what was filled, and the truth."""
    label = ranking_text(result)
    if not label:
        return sheets.contact_sheet([], heading=result.title)
    sign = 1 if result.plan.metrics[label].better == "higher" else -1
    scores = [sign * row.scores[label] for row in result.rows]
    order = sorted((n for n, s in enumerate(scores) if not math.isnan(s)), key=scores.__getitem__)
    rows = []
    for n in order[:count]:
        case, row = cases[n], result.rows[n]
        truth, filled = to_uint8(case.truth[0]), to_uint8(case.fills[row.sample][0])
        hole = case.mask[0, 0].numpy()
        if result.plan.protocol.composite and cases.masked:
            filled = np.where(hole[..., None], filled, truth)
        score = f"{label} {row.scores[label]:.4g}, hole {row.ratio:.0%}"
        rows.append(
            [(sheets.overlay_hole(truth, hole), row.name), (filled, score), (truth, "truth")]
        )
    heading = f"{result.title}: the worst {len(rows)} of {len(scores)} by {label}"
    return sheets.contact_sheet(rows, heading=heading)


def report_parts(result: Result, page: Image.Image) -> list[Part]:
    """The report: numbers, the paper's beside them, pictures, and the conventions."""
    plan = result.plan
    parts: list[Part] = [Text(f"{plan.protocol.summary}. {plan.protocol.source}")]
    parts += [Text(note) for note in result_notes(result)]
    parts += [
        Heading("Scores"),
        results_table(result, bounds=[*plan.protocol.bins, *plan.protocol.shapes, ALL]),
    ]
    if published := published_tables(result):
        parts += [Heading("Beside what was published"), *published]
    label = ranking_text(result)
    if label:
        order = sorted(row.scores[label] for row in result.rows if math.isfinite(row.scores[label]))
        line = [(100 * (n + 0.5) / len(order), score) for n, score in enumerate(order)]
        parts += [
            Heading("Images"),
            Curves({label: line}, "score that so many percent of the images stay below"),
            Figure(page, f"the worst by {label}"),
        ]
    conventions = json.dumps(plan.conventions, indent=1)
    parts += [
        Heading("Conventions"),
        Text(f"Fingerprint {plan.fingerprint}; test set {result.content}; seed {result.seed}."),
        Listing(conventions),
    ]
    return parts


@dataclass(frozen=True)
class ScoreDifference:
    """A metric of two results; the bounds of the second less the first, where images are scored."""

    first: float
    second: float
    low: float = math.nan
    high: float = math.nan
    clear: str | None = None  # the title of the one that is better beyond chance


@dataclass(frozen=True)
class Comparison:
    """Two results of one test set by one protocol, image by image."""

    titles: tuple[str, str]
    images: int
    metrics: Mapping[str, ScoreDifference]

    def table(self) -> Table:
        head = ["", *self.titles, "difference", "95 %", "clear"]
        rows = []
        for label, d in self.metrics.items():
            bounds = "-" if math.isnan(d.low) else f"[{d.low:+.4g}, {d.high:+.4g}]"
            values = (
                number_text(d.first),
                number_text(d.second),
                number_text(d.second - d.first, "+.4g"),
            )
            rows.append([label, *values, bounds, d.clear or "-"])
        caption = f"paired over {self.images} images; clear: which is better beyond chance"
        return Table(head, rows, caption)

    def data(self) -> dict[str, Any]:
        """All of it as plain values."""
        metrics = {
            label: {
                "first": plain_number(d.first),
                "second": plain_number(d.second),
                "difference": plain_number(d.second - d.first),
                "low": plain_number(d.low),
                "high": plain_number(d.high),
                "clear": d.clear,
            }
            for label, d in self.metrics.items()
        }
        return {"titles": self.titles, "images": self.images, "metrics": metrics}


def compare_results(first: Path, second: Path) -> Comparison:
    """The differences of two results of one test set under one protocol.

    Raises `DataError` where they cannot be compared, naming what differs.
    """
    a, b = (read_result(path) for path in (first, second))
    if a["fingerprint"] != b["fingerprint"]:
        differing = settings_differences(a["conventions"], b["conventions"])
        where = ", ".join(f"{key}: {one} or {other}" for key, one, other in differing)
        raise DataError(
            f"{first} and {second} were not measured alike ({where or 'the fingerprint'});"
            " evaluate both by one protocol"
        )
    if a["content"] != b["content"]:
        raise DataError(
            f"{first} and {second} are of different photos or holes; evaluate both on one test set"
        )
    metrics = {}
    for label, asked in a["conventions"]["metrics"].items():
        where = ("conventions", "metrics", label)
        metric = RecipeSource(first).plugin("metrics", Named.model_validate(asked), where)
        metrics[label] = score_difference(label, metric, a, b)
    return Comparison((a["title"], b["title"]), len(a["images"]), metrics)


def score_difference(
    label: str, metric: Metric, a: Mapping[str, Any], b: Mapping[str, Any]
) -> ScoreDifference:
    first, second = (parse_number(result["table"][label][ALL]["value"]) for result in (a, b))
    if not isinstance(metric, ImageMetric):
        return ScoreDifference(first, second)
    scores = np.array(
        [[parse_number(image[label]) for image in result["images"]] for result in (a, b)]
    )
    ours, theirs = scores[:, np.isfinite(scores).all(0)]
    low, high = statistics.difference_interval(theirs, ours, metric.average, a["seed"])
    clear = None
    if low > 0 or high < 0:
        clear = b["title"] if (low > 0) == (metric.better == "higher") else a["title"]
    return ScoreDifference(first, second, low, high, clear)


def read_result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        result = None
    if not isinstance(result, dict) or not result.keys() >= PARTS:
        raise DataError(f"{path} is not a whole result.json; give two of `inpaint eval -o`")
    return result
