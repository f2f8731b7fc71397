"""HTML reports of evaluation and training: text, tables, figures and curves on one page.

The page loads nothing and runs no script: images are embedded, and all content is escaped.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from ..files.write import atomic_path
from .text import Table

CURVE_COLOURS = (
    "#0b6bcb",
    "#c2410c",
    "#15803d",
    "#7e22ce",
    "#b91c1c",
    "#0e7490",
    "#a16207",
    "#475569",
)


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Listing:
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class Figure:
    """An image, embedded as PNG, or as JPEG if it is large."""

    image: Image.Image | NDArray[np.uint8]
    caption: str = ""

    @property
    def source(self) -> str:
        """The image as a data URL."""
        image = self.image if isinstance(self.image, Image.Image) else Image.fromarray(self.image)
        kind = "jpeg" if image.width * image.height > 512 * 512 else "png"
        file = io.BytesIO()
        image.convert("RGB").save(file, kind, quality=90)
        return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass(frozen=True)
class Curves:
    """A plot of named lines of (x, y) points; points that are not finite are left out."""

    lines: Mapping[str, Sequence[tuple[float, float]]]
    caption: str = ""
    logarithmic: bool = False  # the y axis, unless a value is not positive: then it is linear
    x_span: tuple[float, float] | None = None  # of the x axis; None: that of the points

    WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 280, 80, 28, 8  # pixels of the drawing

    @property
    def drawing(self) -> dict[str, list]:
        """The ticks of both axes and the lines, in pixels, for the template."""
        shown = {n: [p for p in points if math.isfinite(p[1])] for n, points in self.lines.items()}
        log = self.logarithmic and all(y > 0 for points in shown.values() for _, y in points)
        lines = {n: [(x, math.log10(y) if log else y) for x, y in p] for n, p in shown.items()}
        every = [point for points in lines.values() for point in points] or [(0.0, 0.0)]
        low_x, high_x = value_span(self.x_span or [x for x, _ in every])
        low_y, high_y = value_span([y for _, y in every])

        y_ticks = decade_ticks(low_y, high_y) if log else axis_ticks(low_y, high_y)

        def across(x: float) -> float:
            return self.LEFT + (x - low_x) / (high_x - low_x) * (self.WIDTH - self.LEFT - 12)

        def down(y: float) -> float:
            room = self.HEIGHT - self.BOTTOM - self.TOP
            return self.TOP + (high_y - y) / (high_y - low_y) * room

        return {
            "x": [(across(x), f"{x:.6g}") for x in axis_ticks(low_x, high_x)],
            "y": [(down(y), f"{10**y if log else y:.4g}") for y in y_ticks],
            "lines": [
                (name, colour, " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points))
                for (name, points), colour in zip(
                    lines.items(), CURVE_COLOURS * len(lines), strict=False
                )
            ],
        }


Part = Heading | Text | Listing | Table | Figure | Curves


def write_page(path: Path, title: str, parts: Sequence[Part]) -> None:
    """Write `parts` in order as one HTML page at `path`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        title=title, parts=[(type(part).__name__, part) for part in parts]
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, "utf-8", errors="backslashreplace")


def value_span(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and greatest of `values`; if they are equal, 0.5 below and above."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def axis_ticks(low: float, high: float) -> list[float]:
    """Return about five ticks from `low` to `high`, multiples of 1, 2 or 5 times a power of 10."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decade_ticks(low: float, high: float) -> list[float]:
    """Return log10 of 1, 2 and 5 times powers of 10 from 10**low to 10**high, at most about eight.

    A narrow range, with fewer than two such numbers, has the ticks of its logarithms.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [n + math.log10(s) for n in powers for s in steps]
        ticks = [tick for tick in ticks if low - 1e-9 <= tick <= high + 1e-9]
        if len(ticks) <= 8:
            break
    ticks = ticks[:: -(-len(ticks) // 8) or 1]
    return ticks if len(ticks) > 1 else axis_ticks(low, high)
