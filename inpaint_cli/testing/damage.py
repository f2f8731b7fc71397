"""Damage drawn over photos, with the mask of what it covers: the truth that finders are held to.

Each function takes `rgb` uint8 [H, W, 3] and a generator, and returns the damaged copy and a mask
[H, W], True where the damage can be seen: where it changes a channel by `VISIBLE` levels or more.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]  # [H, W, 3]
Damage = tuple[Picture, NDArray[np.bool_]]
VISIBLE = 12  # levels of 255
FINE = 4  # parts of a pixel to which thin shapes are drawn


def lay_over(rgb: Picture, colour: Sequence[float], opacity: NDArray[np.floating]) -> Damage:
    """Lay `colour` over `rgb` by `opacity` [H, W] in 0..1."""
    new = rgb + opacity[..., None] * (np.array(colour, np.float32) - rgb)
    damaged = np.rint(new).clip(0, 255).astype(np.uint8)
    seen = np.abs(damaged.astype(np.int16) - rgb).max(-1) >= VISIBLE
    return damaged, seen


def unite(rgb: Picture, parts: Sequence[tuple[Sequence[float], NDArray[np.floating]]]) -> Damage:
    """Lay several colours over `rgb`, one after the other."""
    damaged, mask = rgb, np.zeros(rgb.shape[:2], np.bool_)
    for colour, opacity in parts:
        damaged, seen = lay_over(damaged, colour, opacity)
        mask |= seen
    return damaged, mask


def draw_curve(
    size: tuple[int, int], points: NDArray[np.floating], width: float
) -> NDArray[np.float32]:
    """Return the opacity [H, W] of a curve through `points` [N, 2], `width` pixels wide."""
    canvas = np.zeros((size[0] * FINE, size[1] * FINE), np.uint8)
    corners = np.rint(points * FINE).astype(np.int32)
    cv2.polylines(canvas, [corners], False, 255, max(1, round(width * FINE)), cv2.LINE_AA)
    small = cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA)
    return soften(np.asarray(small, np.float32) / np.float32(255), 0.5)


def soften(opacity: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return `opacity` [H, W] blurred."""
    return np.asarray(cv2.GaussianBlur(opacity, (0, 0), sigma), np.float32)


def print_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a colour of bare paper or emulsion: nearly white, or nearly black."""
    tint = rng.uniform(-8, 8, 3)
    return (rng.uniform(215, 250) if rng.random() < 0.7 else rng.uniform(8, 40)) + tint


def draw_scratches(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Draw 4 to 10 thin scratches of any direction, most of them nearly straight."""
    height, width = rgb.shape[:2]
    longer, parts = max(height, width), []
    for _ in range(rng.integers(4, 11)):
        length, angle = rng.uniform(0.15, 0.8) * longer, rng.uniform(0, np.pi)
        if rng.random() < 0.4:  # along the film's way through a machine
            angle = np.pi / 2 + rng.normal(0, 0.03)
        along = np.linspace(-0.5, 0.5, 40)
        bend = rng.normal(0, 0.03) * np.sin(along * np.pi * rng.uniform(1, 3)) * length
        way = np.array([np.cos(angle), np.sin(angle)])
        middle = rng.uniform(0.1, 0.9, 2) * (width, height)
        points = middle + np.outer(along * length, way) + np.outer(bend, way[::-1] * (-1, 1))
        thick = rng.uniform(1, 2.5) * longer / 768
        opacity = draw_curve((height, width), points, max(thick, 0.8)) * rng.uniform(0.6, 1)
        parts.append((print_colour(rng), opacity))
    return unite(rgb, parts)


def draw_dust(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Draw 30 to 80 specks, and 2 to 6 hairs."""
    height, width = rgb.shape[:2]
    scale = max(height, width) / 768
    layers = [np.zeros((height, width), np.float32) for _ in range(3)]
    for _ in range(rng.integers(30, 81)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = max(0.8, rng.lognormal(0.3, 0.5) * scale)
        spots = np.array([x, y]) + rng.normal(0, radius / 2, (3, 2))
        left, top = max(0, int(x - 8 * radius)), max(0, int(y - 8 * radius))
        box = slice(top, int(y + 8 * radius) + 1), slice(left, int(x + 8 * radius) + 1)
        part = layers[rng.integers(len(layers))][box]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
        for spot in spots:
            far = np.hypot(columns + left - spot[0], rows + top - spot[1])
            np.maximum(part, np.clip(radius - far + 0.5, 0, 1), out=part)
    for _ in range(rng.integers(2, 7)):
        turn = np.cumsum(rng.normal(0, 0.25, 24)) + rng.uniform(0, 6.3)
        steps = np.stack([np.cos(turn), np.sin(turn)], 1) * 2.5 * scale
        points = rng.uniform(0, 1, 2) * (width, height) + np.cumsum(steps, 0)
        layer = layers[rng.integers(len(layers))]
        np.maximum(layer, draw_curve((height, width), points, max(0.8, scale)), out=layer)
    colours = [list(print_colour(rng)) for _ in layers]
    return unite(
        rgb, [(c, part * rng.uniform(0.7, 1)) for c, part in zip(colours, layers, strict=True)]
    )


def draw_words(
    size: tuple[int, int],
    text: str,
    place: tuple[float, float],
    height: float,
    *,
    angle: float = 0,
    outline: int = 0,
) -> NDArray[np.float32]:
    """Return the opacity [H, W] of `text`, `height` pixels high, its middle at `place` (x, y)."""
    font = ImageFont.load_default(height)
    canvas = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    draw.text(place, text, 255, font, anchor="mm", align="center", stroke_width=outline)
    if angle:
        canvas = canvas.rotate(angle, Image.Resampling.BICUBIC, center=place)
    return np.asarray(canvas, np.float32) / np.float32(255)


def draw_stamp(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Draw a date stamp as cameras burned in, in a corner, with its soft glow."""
    height, width = rgb.shape[:2]
    high = max(10.0, rng.uniform(0.03, 0.05) * max(height, width))
    day = f"{rng.integers(1, 32)}", f"{rng.integers(1, 13)}", f"'{rng.integers(80, 100)}"
    words = rng.choice([" ", ".", "/", "-"]).join(day[:: rng.choice([1, -1])])
    x = width * 0.98 - high * 0.3 * len(words) if rng.random() < 0.8 else high * 0.32 * len(words)
    opacity = draw_words((height, width), words, (x, height - high * rng.uniform(1, 2)), high)
    opacity = soften(opacity, rng.uniform(0.4, 0.8))
    colour = ((255, rng.uniform(90, 160), 30), (255, 60, 40), (250, 210, 60))[rng.integers(3)]
    glow = soften(opacity, high / 12) * np.float32(0.3)
    return unite(rgb, [(colour, glow), (colour, opacity)])


WORDS = (
    "Where have you been all",
    "this time?",
    "I never said that.",
    "Look at the sea!",
    "SUMMER HOLIDAY 2004",
    "We must leave tonight",
    "PHOTO BY A FRIEND",
    "Spring 1987",
)


def draw_caption(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Draw a line or two of a subtitle: white or yellow, outlined in black."""
    height, width = rgb.shape[:2]
    lines = rng.choice(WORDS, rng.integers(1, 3), replace=False)
    high = max(11.0, rng.uniform(0.04, 0.06) * max(height, width))
    high = max(11.0, min(high, 1.7 * 0.95 * width / max(map(len, lines))))
    place, text = (width / 2, height - high * (0.8 + 0.7 * len(lines))), "\n".join(lines)
    edge = draw_words((height, width), text, place, high, outline=max(1, round(high / 14)))
    inner = draw_words((height, width), text, place, high)
    colour = (255, 255, 255) if rng.random() < 0.6 else (250, 230, 70)
    return unite(rgb, [((10, 10, 10), edge), (colour, inner)])


def draw_watermark(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Draw a half-transparent text across the photo, once or several times, level or turned."""
    height, width = rgb.shape[:2]
    words = str(rng.choice(["SAMPLE", "© Photo Agency", "PREVIEW", "stock-photos", "DO NOT COPY"]))
    several = rng.random() < 0.4
    high = max(16.0, rng.uniform(0.06, 0.1) * max(height, width) / (1.5 if several else 1))
    angle = 0 if rng.random() < 0.5 else rng.uniform(-40, 40)
    rows = (0.2, 0.5, 0.8) if several else (rng.uniform(0.25, 0.75),)
    opacity = np.zeros((height, width), np.float32)
    for row in rows:
        place = width * (0.5 if not several else rng.uniform(0.35, 0.65)), height * row
        part = draw_words((height, width), words, place, high, angle=angle)
        opacity = np.maximum(opacity, part)
    colour = (255, 255, 255) if rng.random() < 0.75 else (0, 0, 0)
    return lay_over(rgb, colour, opacity * np.float32(rng.uniform(0.3, 0.6)))


def paint_over(rgb: Picture, rng: np.random.Generator) -> Damage:
    """Paint 2 to 5 strokes of a bright marker, as on a phone."""
    height, width = rgb.shape[:2]
    colour = ((255, 45, 35), (0, 230, 60), (255, 0, 220), (20, 90, 255))[rng.integers(4)]
    parts = []
    for _ in range(rng.integers(2, 6)):
        steps = rng.normal(0, 0.06 * max(height, width), (8, 2))
        points = rng.uniform(0.15, 0.85, 2) * (width, height) + np.cumsum(steps, 0)
        thick = rng.uniform(0.01, 0.03) * max(height, width)
        parts.append((colour, draw_curve((height, width), points, thick)))
    return unite(rgb, parts)
