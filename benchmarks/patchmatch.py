"""patchmatch against fillers without weights: other packages', its own past, and the smooth ones.

    OMP_NUM_THREADS=1 python benchmarks/patchmatch.py SCENES MASKS PAIRS [--masks N] [--limit N]
        [--pairs-limit N] [--side N] [--faces FOLDER] [--environment FOLDER] [--sheet FOLDER]
        [--picture FILE] [--only SECTION...]

SCENES are photos, MASKS masks of which those of 10 to 40 % are used, PAIRS folders with image.* and
mask.png, --faces photos of faces, for what `auto` chooses. --sheet writes what every filler makes
of PAIRS, --picture the sheet of `inpaint demo`, which the README shows. --only measures sections of
the page again, by their headings. Other packages are installed into an environment of their own
(`peers.py`). Time is that of the processor on one thread, every filler in turn on each photo,
medians. The measures are those of `texture.py`.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from peers import Peers
from PIL import Image
from table import record_sections
from texture import (
    MEASURES,
    Hole,
    Picture,
    border_holes,
    measure_noise,
    measure_texture,
    striped_share,
)
from tqdm import tqdm

from inpaint_cli import load_model
from inpaint_cli.api import Filler
from inpaint_cli.filling.demo import run_demo
from inpaint_cli.filling.fill import fill_array
from inpaint_cli.filling.photo import fill as fill_photo_array
from inpaint_cli.models.auto import Auto
from inpaint_cli.reports.contact_sheet import contact_sheet, overlay_hole
from inpaint_plugins.patchmatch.model import find_sources, fitting_patch

OURS = ("patchmatch", "telea", "ns", "biharmonic")
PEERS = ("before", "pypatchmatch", "patchmatch-cython")
CLASSES = {"up to 256": 256, "up to 512": 512, "up to 1,100": 1100}  # pixels of the longer side
STRIPED = 0.05  # of a hole, from which on it counts as filled with stripes

Pixels = NDArray[np.uint8]  # H W 3
Fill = Callable[[Pixels, Hole], tuple[Pixels, float]]  # the photo filled, seconds


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    for folder in ("scenes", "masks_folder", "pairs"):
        words.add_argument(folder, type=Path)
    words.add_argument("--masks", type=int, default=3, help="masks a photo")
    words.add_argument("--limit", type=int, default=1000, help="photos at most, evenly spread")
    words.add_argument("--pairs-limit", type=int, default=1000, help="pairs at most")
    words.add_argument("--side", type=int, default=512, help="pixels to which scenes are reduced")
    words.add_argument("--faces", type=Path, help="photos of faces, for `auto`")
    words.add_argument("--environment", type=Path, default=Path("build/peers"))
    words.add_argument("--sheet", type=Path, help="write contact sheets of PAIRS to this folder")
    words.add_argument("--only", nargs="+", default=[], metavar="SECTION", help="of the page")
    words.add_argument("--picture", type=Path, help="write the picture of the README to this file")
    given = words.parse_args()
    if given.picture:
        draw_picture(given.picture)
    cv2.setNumThreads(1)
    peers = Peers(given.environment)
    fills = {name: fill_with(load_model(name).filler) for name in OURS} | {
        name: lambda rgb, hole, name=name: peers.fill(name, rgb, hole) for name in PEERS
    }
    timed = {name: fill for name, fill in fills.items() if name not in ("ns", "biharmonic")}
    every = sorted(path for path in given.scenes.iterdir() if path.suffix in {".jpg", ".png"})
    photos = spread_out(every, given.limit)
    drawn = read_masks(given.masks_folder)
    sections = {
        "Time": lambda: describe_time(timed, given.pairs, given.pairs_limit, given.sheet),
        "Texture": lambda: describe_quality(fills, photos, drawn, given.masks, given.side),
        "Stripes": lambda: describe_stripes(spread_out(every, 40), given.side),
        "Large photos": lambda: describe_large(photos[0]),
        "Thin holes": lambda: describe_thin(fills, spread_out(photos, 16), given.side),
    }
    command = "python benchmarks/patchmatch.py SCENES MASKS PAIRS"
    if given.faces or given.only:
        command += " --faces FACES"
        sections["Choices"] = lambda: describe_choices(
            fills["patchmatch"], photos, given.faces, drawn, given.side
        )
    defaults = {"masks": 3, "limit": 1000, "pairs-limit": 1000, "side": 512}
    for name, default in defaults.items():
        if (value := getattr(given, name.replace("-", "_"))) != default:
            command += f" --{name} {value}"
    record_sections("patchmatch", "Fills without weights", sections, given.only, command=command)


def draw_picture(path: Path) -> None:
    """Write the sheet of `inpaint demo`: a photo that may be published, its hole, and its fill."""
    with TemporaryDirectory() as folder:
        sheet = run_demo(Path(folder), overwrite=False, notify=print)[-1]
        picture = Image.open(sheet).convert("RGB")
        picture.thumbnail((1232, 1232), Image.Resampling.LANCZOS)
        picture.save(path, quality=90)


def spread_out(items: list[Path], most: int) -> list[Path]:
    """At most so many of `items`, evenly spread."""
    return [items[n * len(items) // most] for n in range(most)] if len(items) > most else items


def fill_with(filler: Filler) -> Fill:
    """Return a filler of this project as a function of pixels."""

    def fill(rgb: Pixels, hole: Hole) -> tuple[Pixels, float]:
        start = time.process_time()
        filled = rgb / np.float32(255)
        fill_array(filler, filled, hole, np.random.default_rng(0))
        return np.rint(filled * 255).astype(np.uint8), time.process_time() - start

    return fill


def read_scene(path: Path, side: int) -> Pixels:
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.array(photo)


def read_masks(folder: Path) -> list[Hole]:
    """The masks of `folder` that cover 10 to 40 %."""
    every = [np.array(Image.open(path).convert("L")) > 127 for path in sorted(folder.glob("*.png"))]
    return [mask for mask in every if 0.1 <= mask.mean() <= 0.4]


def fit_mask(mask: Hole, rgb: Pixels) -> Hole:
    size = rgb.shape[1::-1]
    return np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def scenes(
    photos: list[Path], drawn: list[Hole], count: int, side: int
) -> Iterator[tuple[Pixels, Hole]]:
    """Each photo with `count` holes: a box, one of `drawn`, and one at the border, in turn."""
    for n, path in enumerate(tqdm(photos, "scenes")):
        rgb = read_scene(path, side)
        height, width = rgb.shape[:2]
        inside = np.zeros((height, width), bool)
        inside[int(0.3 * height) : int(0.7 * height), int(0.3 * width) : int(0.65 * width)] = True
        drawing = fit_mask(drawn[7 * n % len(drawn)], rgb)
        holes = [inside, drawing, border_holes(height, width)[n % 8]]
        for k in range(count):
            yield rgb, holes[(n + k) % 3]


def describe_quality(
    fills: dict[str, Fill], photos: list[Path], drawn: list[Hole], count: int, side: int
) -> str:
    """A table of the mean measures, and of the grain, of each filler."""
    scores: dict[str, list[list[float]]] = {name: [] for name in fills}
    grain: dict[str, list[float]] = {name: [] for name in fills}
    for rgb, hole in scenes(photos, drawn, count, side):
        truth = to_floats(rgb)
        for name, fill in fills.items():
            filled = to_floats(fill(rgb * ~hole[..., None], hole)[0])
            scores[name].append(measure_texture(filled, truth, hole))
            noise = measure_noise(truth, hole)
            grain[name].append((measure_noise(filled, hole) + 1e-3) / (noise + 1e-3))
    every = {name: np.array(its) for name, its in scores.items()}
    ours = every["patchmatch"]
    lines = [
        f"Mean over {len(ours)} fills of {len(photos)} photos of at most {side} pixels; in brackets"
        " on how many percent of them patchmatch is better. Grain: how many percent of fills have"
        " 0.8 to 1.25 times the truth's noise.",
        "",
        f"| | {' | '.join(MEASURES)} | grain |",
        f"| --- |{' ---: |' * (len(MEASURES) + 1)}",
    ]
    for name, its in every.items():
        cells = [f"{value:.3f}" for value in its.mean(0)]
        if name != "patchmatch":
            better = np.rint(100 * (ours < its).mean(0)).astype(int)
            cells = [f"{cell} ({share})" for cell, share in zip(cells, better, strict=True)]
        kept = np.array(grain[name])
        cells.append(f"{100 * ((kept >= 0.8) & (kept <= 1.25)).mean():.0f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", *(f"- {name}: {what}" for name, what in MEASURES.items())]
    return "\n".join(lines)


def to_floats(rgb: Pixels) -> Picture:
    return rgb / np.float32(255)


def describe_stripes(photos: list[Path], side: int) -> str:
    """How many holes at the border are filled with stripes."""
    shares = []
    for path in tqdm(photos, "borders"):
        rgb = to_floats(read_scene(path, min(side, 320)))
        for hole in border_holes(*rgb.shape[:2]):
            seen = np.where(hole[..., None], np.float32(0), rgb)
            source = find_sources(seen, hole, fitting_patch(hole), np.random.default_rng(0))
            shares.append(striped_share(source.reshape(hole.shape), hole))
    many = sum(share > STRIPED for share in shares)
    return (
        f"Stripes: of {len(shares)} holes that touch the border of a photo ({len(photos)} photos, 4"
        f" borders, 2 sizes), {many} have over {STRIPED:.0%} of their pixels in lines of 24 or more"
        f" whose sources stand still or creep; mean {np.mean(shares):.2%}, most {max(shares):.2%}."
        " An untouched photo, a copy of itself, has 0."
    )


def describe_time(fills: dict[str, Fill], pairs: Path, limit: int, sheet: Path | None) -> str:
    """A table of median seconds by the size of the photo."""
    times: dict[str, dict[str, list[float]]] = {
        name: {size: [] for size in CLASSES} for name in fills
    }
    rows = []
    for folder in tqdm(
        spread_out(sorted(p for p in pairs.iterdir() if p.is_dir()), limit), "pairs"
    ):
        photo = next(p for p in folder.iterdir() if p.stem in {"image", "masked-input"})
        rgb, hole = (
            np.array(Image.open(p).convert(mode))
            for p, mode in ((photo, "RGB"), (folder / "mask.png", "L"))
        )
        hole = hole > 127
        size = next((name for name, side in CLASSES.items() if max(hole.shape) <= side), None)
        if size is None:
            continue
        row = [(overlay_hole(rgb, hole), folder.name)]
        for name, fill in fills.items():
            filled, seconds = fill(rgb, hole)
            times[name][size].append(seconds)
            row.append((filled, name))
        rows.append(row)
    if sheet:
        sheet.mkdir(parents=True, exist_ok=True)
        for n in range(0, len(rows), 8):
            contact_sheet(rows[n : n + 8], cell=384).save(sheet / f"pairs-{n // 8}.jpg")
    return tabulate_time(times)


def tabulate_time(times: dict[str, dict[str, list[float]]]) -> str:
    """The medians of seconds by filler and class of size."""
    counts = {size: len(its) for size, its in times["patchmatch"].items()}
    lines = [
        f"Seconds of {sum(counts.values())} real pairs, medians; in brackets patchmatch's as a"
        " multiple of theirs.",
        "",
        f"| side | {' | '.join(f'{size} ({count})' for size, count in counts.items())} | all |",
        f"| --- |{' ---: |' * (len(CLASSES) + 1)}",
    ]
    columns = {
        name: [*by_size.values(), [one for its in by_size.values() for one in its]]
        for name, by_size in times.items()
    }
    for name, every in columns.items():
        cells = [
            f"{np.nanmedian(its):.2f} ({np.nanmedian(np.divide(mine, its)):.2f})" if its else "-"
            for its, mine in zip(every, columns["patchmatch"], strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def describe_large(path: Path) -> str:
    """The seconds of a hole of 600 x 600 pixels in large photos, beside a small photo's."""
    photo = np.array(Image.open(path).convert("RGB"))
    lines = ["| photo | hole | patchmatch, s | as a multiple |", "| --- | --- | ---: | ---: |"]
    first = None
    for name, width, height, side in (
        ("512 x 512", 512, 512, 256),
        ("12 MP", 4000, 3000, 600),
        ("24 MP", 6000, 4000, 600),
    ):
        rgb = cv2.resize(photo, (width, height), interpolation=cv2.INTER_CUBIC)
        hole = np.zeros((height, width), bool)
        top, left = (height - side) // 2, (width - side) // 2
        hole[top : top + side, left : left + side] = True
        seconds = []
        for _ in range(3):
            start = time.process_time()
            fill_photo_array(rgb, mask=hole, model="patchmatch")
            seconds.append(time.process_time() - start)
        middle = float(np.median(seconds))
        first = first or middle
        lines.append(f"| {name} | {side} x {side} | {middle:.2f} | {middle / first:.2f} |")
    return "\n".join(["Large photos, the whole of `fill`, medians of 3.", "", *lines])


def describe_thin(fills: dict[str, Fill], photos: list[Path], side: int) -> str:
    """The mean measures of the smooth fillers on lines of few pixels."""
    lines = [
        f"Lines drawn across {len(photos)} photos, filled by smooth fillers: mean measures, the"
        " error in dB of PSNR in the hole, and median seconds.",
        "",
        f"| pixels | | {' | '.join(MEASURES)} | dB | s |",
        f"| ---: | --- |{' ---: |' * (len(MEASURES) + 2)}",
    ]
    for width in (1, 2, 4, 8):
        rows: dict[str, list[list[float]]] = {name: [] for name in OURS}
        for n, path in enumerate(tqdm(photos, f"lines of {width}")):
            rgb = read_scene(path, side)
            hole = draw_lines(rgb, width, np.random.default_rng(n))
            for name in OURS:
                rows[name].append(measure_fill(fills[name], rgb, hole))
        for name, its in rows.items():
            cells = [f"{value:.3f}" for value in np.mean(its, axis=0)[:-2]]
            cells += [f"{np.mean(its, axis=0)[-2]:.1f}", f"{np.median(its, axis=0)[-1]:.3f}"]
            lines.append(f"| {width} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_lines(rgb: Pixels, width: int, rng: np.random.Generator) -> Hole:
    """Three broken lines of `width` pixels across a photo."""
    drawing = np.zeros(rgb.shape[:2], np.uint8)
    for _ in range(3):
        ends = rng.integers(0, rgb.shape[1::-1], (4, 2)).astype(np.int32)
        cv2.polylines(drawing, [ends], False, 1, width)
    return drawing > 0


def measure_fill(fill: Fill, rgb: Pixels, hole: Hole) -> list[float]:
    """The measures of one fill, its PSNR in the hole in dB, and its seconds."""
    pixels, seconds = fill(rgb * ~hole[..., None], hole)
    filled, truth = to_floats(pixels), to_floats(rgb)
    error = max(float(np.square(filled - truth)[hole].mean()), 1e-9)
    return [*measure_texture(filled, truth, hole), -10 * np.log10(error), seconds]


def describe_choices(
    patchmatch: Fill, photos: list[Path], folder: Path, drawn: list[Hole], side: int
) -> str:
    """What `auto` takes for scenes and for faces, and what it gains there."""
    auto, filler = Auto(), load_model("faces").filler
    faces = spread_out(sorted(folder.glob("*.jpg")), 24)
    taken = [auto.choose(to_floats(rgb), hole).name for rgb, hole in scenes(photos, drawn, 3, side)]
    rows: dict[str, list[list[float]]] = {"patchmatch": [], "faces": []}
    for n, path in enumerate(tqdm(faces, "faces")):
        rgb = read_scene(path, side)
        hole = fit_mask(drawn[7 * n % len(drawn)], rgb)
        if auto.choose(to_floats(rgb * ~hole[..., None]), hole).name == "faces":
            rows["patchmatch"].append(measure_fill(patchmatch, rgb, hole))
            rows["faces"].append(measure_fill(fill_with(filler), rgb, hole))
    found = len(rows["faces"])
    lines = [
        f"`auto` took patchmatch for {taken.count('patchmatch')} of {len(taken)} holes of scenes,"
        f" and faces for {found} of {len(faces)} holes in photos of faces; on these {found}:",
        "",
        f"| | {' | '.join(MEASURES)} | dB |",
        f"| --- |{' ---: |' * (len(MEASURES) + 1)}",
    ]
    for name, its in rows.items():
        cells = [f"{value:.3f}" for value in np.mean(its, axis=0)[:-1]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
