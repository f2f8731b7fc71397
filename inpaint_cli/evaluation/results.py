"""The results of an evaluation as tables, plain data, files and an HTML report."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..api.metrics import ImageMetric, SetMetric
from ..api.tensors import to_uint8
from ..errors import DataError
from ..files.write import atomic_path, check_free
from ..reports import contact_sheet as sheets
from ..reports.html import Curves, Figure, Heading, Listing, Part, Text, write_page
from ..reports.text import Table
from ..wording import count_text, json_number, number_text
from .measure import Evaluation, Score, TableLine, join_notes, table_lines
from .protocols import ALL, PrintedTable, PublishedTable, in_column
from .samples import EvalSamples
from .scores import RESULT_FILES

UNFINISHED = ".results.unfinished"  # there while results are written
CONFIDENCE = "in brackets: 95 % confidence interval; ±: standard deviation over subsets"


def check_results_free(folder: Path, *, overwrite: bool) -> None:
    """Raise `InpaintError` where results would replace files in `folder`, unless `overwrite`.

    Files that a killed evaluation has begun to write may be replaced.
    """
    begun = (folder / UNFINISHED).is_file()
    for name in RESULT_FILES:
        check_free(folder / name, overwrite=overwrite or begun)


def write_results(
    result: Evaluation, samples: EvalSamples, folder: Path, *, worst: int = 8
) -> list[Path]:
    """Write report.html, result.json, images.csv and worst.png into `folder`; return their paths.

    `worst` is the number of images on worst.png.
    """
    everything = results_data(result)
    with atomic_path(folder / UNFINISHED) as temporary:
        temporary.touch()
    with atomic_path(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n", "utf-8")
    with (
        atomic_path(folder / "images.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        table = csv.DictWriter(file, list(everything["images"][0]))
        table.writeheader()
        for row in everything["images"]:
            table.writerow(row | {"name": cell_text(row["name"])})
    sheet = worst_sheet(result, samples, worst)
    with atomic_path(folder / "worst.png") as temporary:
        sheet.save(temporary)
    parts = report_parts(result, sheet)
    write_page(folder / "report.html", f"{result.title}: {result.plan.name}", parts)
    (folder / UNFINISHED).unlink()
    return [folder / name for name in RESULT_FILES]


def cell_text(text: str) -> str:
    """Return `text` for a cell of CSV, which a spreadsheet must not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def results_data(result: Evaluation) -> dict[str, Any]:
    """Return the whole result as plain values for JSON: NaN is None, infinity is "inf"."""
    plan = result.plan
    return {
        "title": result.title,
        "protocol": plan.name,
        "fingerprint": plan.fingerprint,
        "content": result.content,
        "seed": result.seed,
        "conventions": plan.conventions,
        "notes": [*result_notes(result)],
        "masks": result.mask_source,
        "metrics": {
            label: {
                "better": line.better,
                "unit": line.metric.unit,
                "note": join_notes(line.note, count_note(result, label)),
            }
            for label, line in table_lines(plan).items()
        },
        "table": {
            label: {
                column: {
                    "value": json_number(v.value),
                    "low": json_number(v.low),
                    "high": json_number(v.high),
                    "deviation": json_number(v.deviation),
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
                **{label: json_number(score) for label, score in row.scores.items()},
            }
            for row in result.rows
        ],
    }


def result_notes(result: Evaluation) -> list[str]:
    """Return the notes of the protocol and of the samples, as sentences for the user."""
    plan = result.plan
    left_out = ", ".join(plan.left_out)
    return [
        *plan.protocol.notes,
        *([f"skipped, because they need networks: {left_out}"] if left_out else []),
        *result.notes,
        *few_notes(result),
        *unscored_notes(result),
    ]


def unscored_notes(result: Evaluation) -> Iterator[str]:
    """Yield a sentence for each metric that gave some images no score."""
    total = len(result.rows)
    for label, metric in result.plan.metrics.items():
        if isinstance(metric, ImageMetric):
            missing = sum(math.isnan(row.scores[label]) for row in result.rows)
            if missing:
                yield f"{label}: {missing} of {total} images have no score, {metric.unscored()}"


def few_notes(result: Evaluation) -> list[str]:
    """Return a sentence on the metrics whose score depends on the number of images, if any."""
    few = [label for label in result.plan.metrics if count_note(result, label)]
    if not few:
        return []
    least = max(m.few for m in result.plan.metrics.values() if isinstance(m, SetMetric))
    return [
        f"{', '.join(few)}: of fewer than {least:,} images these scores depend on their number; "
        "compare them with scores of as many images only"
    ]


def count_note(result: Evaluation, label: str) -> str:
    """Return a remark on a score of fewer images than its metric needs, else nothing."""
    metric = result.plan.metrics.get(label)
    count = result.table[label][ALL].count
    few = isinstance(metric, SetMetric) and count < metric.few
    return f"of {count_text(count, 'image')} only" if few else ""


def line_title(label: str, line: TableLine) -> str:
    """Return the title of a line: its label with unit, better direction and remark."""
    note = f", {line.note}" if line.note else ""
    unit = f" {line.metric.unit}" if line.metric.unit else ""
    return f"{label}{unit} {'↑' if line.better == 'higher' else '↓'}{note}"


def score_text(value: Score, *, bounds: bool) -> str:
    text = number_text(value.value)
    if bounds and not math.isnan(value.deviation):
        text += f" ± {value.deviation:.2g}"
    if bounds and not math.isnan(value.low):
        text += f" [{value.low:.4g}, {value.high:.4g}]"
    return text


def results_table(result: Evaluation, *, bounds: Sequence[str] = (ALL,)) -> Table:
    """Return a table of metrics by bins and shapes; columns `bounds` have confidence intervals."""
    columns = list(next(iter(result.table.values())))
    only = result.plan.protocol.only
    counts = [sum(in_column(c, row.ratio, row.shape, only) for row in result.rows) for c in columns]
    head = ["", *(f"{c} %" if c in result.plan.protocol.bins else c for c in columns)]
    rows = [["images", *map(str, counts)]]
    for label, line in table_lines(result.plan).items():
        values = result.table[label].items()
        cells = [score_text(value, bounds=column in bounds) for column, value in values]
        noted = replace(line, note=join_notes(line.note, count_note(result, label)))
        rows.append([line_title(label, noted), *cells])
    return Table(head, rows, f"{masks_text(result)}; {CONFIDENCE}".removeprefix("; "))


def masks_text(result: Evaluation) -> str:
    """Return where the masks are from, and which the paper had; "" without masks."""
    if not result.mask_source:
        return ""
    paper = result.plan.protocol.masks
    return f"masks {result.mask_source}" + (f"; the paper: {paper}" if paper else "")


def published_tables(result: Evaluation, only: str | None = None) -> list[Table]:
    """Return the tables of the protocol's paper, each with a row of `result` added.

    The caption of each says what makes the rows hard to compare.

    `only` is the data set of the tables to return; by default they are all returned. Raises
    `DataError` where the paper has no table of it.
    """
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
                continue  # random features are not comparable with the paper's
            rows = [
                [method, *("-" if v is None else f"{v:g}" for v in values)]
                for method, values in methods.items()
            ]
            missing = Score(math.nan, math.nan, math.nan, 0)
            scores = [result.table[label].get(column, missing) for column in printed.columns]
            rows.append([f"{result.title} (here)", *(score_text(v, bounds=False) for v in scores)])
            head = [line_title(label, line), *printed.columns]
            tables.append(Table(head, rows, published_caption(result, printed)))
    return tables


def published_caption(result: Evaluation, printed: PublishedTable) -> str:
    """Return the caption of a published table: how its test set differs from that of `result`."""
    counts = [
        scores[column].count
        for scores in result.table.values()
        for column in printed.columns
        if column in scores
    ]
    here = max(counts, default=0)
    images = f"{printed.images:,} images, here {here:,}" if printed.images else ""
    parts = [f"{printed.data}, as published", images, masks_text(result), printed.note]
    return "; ".join(filter(None, parts))


def printed_table(printed: PrintedTable) -> Table:
    """Return a table of the paper of what is not measured here."""
    rows = [
        [method, *("-" if value is None else str(value) for value in values)]
        for method, values in printed.rows.items()
    ]
    return Table(["", *printed.columns], rows, f"{printed.title}, as published")


def ranking_metric(result: Evaluation) -> str:
    """Return the label of the metric that ranks images: the first that scores each; else ""."""
    metrics = result.plan.metrics
    return next((k for k, m in metrics.items() if isinstance(m, ImageMetric)), "")


def worst_sheet(result: Evaluation, samples: EvalSamples, count: int) -> Image.Image:
    """Return a contact sheet of the `count` worst images: with the hole, filled, and the truth."""
    label = ranking_metric(result)
    if not label:
        return sheets.contact_sheet([], heading=result.title)
    sign = 1 if result.plan.metrics[label].better == "higher" else -1
    scores = [sign * row.scores[label] for row in result.rows]
    order = sorted((n for n, s in enumerate(scores) if not math.isnan(s)), key=scores.__getitem__)
    rows = []
    for n in order[:count]:
        sample, row = samples[n], result.rows[n]
        truth, filled = to_uint8(sample.truth[0]), to_uint8(sample.fills[row.sample][0])
        hole = sample.mask[0, 0].numpy()
        if result.plan.protocol.composite and samples.masked:
            filled = np.where(hole[..., None], filled, truth)
        score = f"{label} {row.scores[label]:.4g}, hole {row.ratio:.0%}"
        rows.append(
            [(sheets.overlay_hole(truth, hole), row.name), (filled, score), (truth, "truth")]
        )
    heading = f"{result.title}: the worst {len(rows)} of {len(scores)} by {label}"
    return sheets.contact_sheet(rows, heading=heading)


def report_parts(result: Evaluation, sheet: Image.Image) -> list[Part]:
    """Return the report: scores, the paper's tables, the worst images, and the conventions."""
    plan = result.plan
    parts: list[Part] = [Text(f"{plan.protocol.summary}. {plan.protocol.source}".strip())]
    parts += [Text(note) for note in result_notes(result)]
    bounds = [*plan.protocol.bins, *plan.protocol.shapes, ALL]
    parts += [Heading("Scores"), results_table(result, bounds=bounds)]
    if published := published_tables(result):
        parts += [Heading("Published results"), *published]
    parts += [printed_table(printed) for printed in plan.protocol.printed]
    if label := ranking_metric(result):
        order = sorted(row.scores[label] for row in result.rows if math.isfinite(row.scores[label]))
        line = [(100 * (n + 0.5) / len(order), score) for n, score in enumerate(order)]
        parts += [
            Heading("Images"),
            Curves({label: line}, "percentiles of the score: x % of the images are below the line"),
            Figure(sheet, f"the worst images by {label}"),
        ]
    return [
        *parts,
        Heading("Conventions"),
        Text(f"Fingerprint {plan.fingerprint}; test set {result.content}; seed {result.seed}."),
        Listing(json.dumps(plan.conventions, indent=1)),
    ]
