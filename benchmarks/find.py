"""Finders against damage whose place is known, on photos that they were not tuned on.

    python benchmarks/find.py PHOTOS... [--pairs PAIRS] [--limit N] [--sheet PATH]

PHOTOS are folders. Half of all photos, by the hash of their names, were looked at to tune the
finders; this script takes the other half only. Damage is drawn by `inpaint_cli.testing.damage`,
seeded by the photo's name. Recall and precision count pixels, within 2 pixels; "new" leaves out of
precision what is found in the undamaged photo as well, such as a shop's sign. "Clean" is the share
that is found in undamaged photos. PSNR is taken inside the true damage after a fill with telea,
by the mask that was found and by the true one. PAIRS holds folders with image.* and mask.png; the
box is 10 to 30 % larger than the object. Masks that were brushed around their objects are no
outlines: those count apart whose border follows edges, which are at least as strong along it as in
the mean of two lines beside it, inside and outside.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from table import record

import inpaint_cli as inpaint
from inpaint_cli.reports.contact_sheet import contact_sheet, overlay_hole
from inpaint_cli.testing import damage

Picture = NDArray[np.uint8]  # H W 3
Mask = NDArray[np.bool_]  # H W

DRAWN: dict[str, tuple[str, Callable]] = {  # what is drawn, and the finder that is to find it
    "scratches": ("scratches", damage.draw_scratches),
    "dust": ("dust", damage.draw_dust),
    "date stamp": ("text", damage.draw_stamp),
    "caption": ("text", damage.draw_caption),
    "watermark": ("text", damage.draw_watermark),
    "markup, copy": ("markup", damage.paint_over),
    "markup, alone": ("markup", damage.paint_over),
}
DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # 2 pixels around
LARGE = (4000, 3000)  # pixels of the photo that is timed
NO_OBJECTS = ("iopaint-watermark",)


def is_held_out(name: str) -> bool:
    """Whether no finder was tuned on the photo of this name."""
    return sha256(name.encode()).digest()[0] % 2 == 1


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("photos", type=Path, nargs="+")
    words.add_argument("--pairs", type=Path)
    words.add_argument("--limit", type=int, help="only so many photos, evenly spread")
    words.add_argument("--sheet", type=Path, help="write a contact sheet of what was found")
    given = words.parse_args()
    files = [p for folder in given.photos for p in sorted(folder.iterdir())]
    files = [p for p in files if p.suffix in {".jpg", ".png"} and is_held_out(p.name)]
    count = given.limit or len(files)
    files = [files[n * len(files) // count] for n in range(min(count, len(files)))]
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    cells = []
    for path in files:
        rgb = np.array(Image.open(path).convert("RGB"))
        seed = sha256(path.name.encode()).digest()[:8]
        clean = {kind: find(rgb, kind) for kind in dict.fromkeys(k for k, _ in DRAWN.values())}
        row = []
        for name, (kind, draw) in DRAWN.items():
            damaged, truth = draw(rgb, np.random.default_rng([*seed, *name.encode()]))
            found, truth = find_drawn(name, kind, rgb, damaged, truth)
            rows[name].append(measure(rgb, damaged, truth, found, clean[kind], "copy" in name))
            recall, precision = rows[name][-1][:2]
            row.append((overlay_hole(damaged, found), f"{name} {recall:.2f} {precision:.2f}"))
        cells.append(row)
        print(path.name, *(caption for _, caption in row), sep=" | ", flush=True)
    text = table(rows, len(files)) + timing(files[0])
    if given.pairs:
        text += objects(given.pairs)
    record("find", "What finders find", text, command="python benchmarks/find.py PHOTOS... "
           f"--pairs PAIRS{f' --limit {given.limit}' if given.limit else ''}")  # fmt: skip
    if given.sheet:
        contact_sheet(cells, cell=300).save(given.sheet)


def find(rgb: Picture, kind: str, **settings: object) -> Mask:
    return inpaint.find_mask(rgb, kind, limit=1.0, **settings)


def find_drawn(
    name: str, kind: str, rgb: Picture, damaged: Picture, truth: Mask
) -> tuple[Mask, Mask]:
    """Return what is found of the damage; a painted copy is cropped and reduced, and a JPEG."""
    if "copy" not in name:
        return find(damaged, kind), truth
    left, top, right, bottom = 12, 9, 15, 11
    copy = Image.fromarray(damaged[top:-bottom, left:-right])
    copy = copy.resize((copy.width * 4 // 5, copy.height * 4 // 5), Image.Resampling.LANCZOS)
    inside = np.zeros_like(truth)
    inside[top:-bottom, left:-right] = truth[top:-bottom, left:-right]
    with TemporaryDirectory() as folder:
        path = Path(folder, "copy.jpg")
        copy.save(path, quality=80)
        try:
            return find(rgb, kind, marked=path), inside
        except inpaint.ImageError:  # no points to align it by
            return np.zeros_like(truth), inside


def measure(
    rgb: Picture, damaged: Picture, truth: Mask, found: Mask, clean: Mask, compared: bool
) -> tuple[float, ...]:
    """Return recall, precision, precision of the new, share of clean, PSNR by found and by true."""
    near = lambda mask: cv2.dilate(mask.astype(np.uint8), DISC) > 0  # noqa: E731
    new = found if compared else found & ~near(clean)
    share = lambda part, whole: part.sum() / whole.sum() if whole.any() else 1.0  # noqa: E731
    return (
        share(truth & near(found), truth),
        share(found & near(truth), found),
        share(new & near(truth), new),
        0.0 if compared else float(clean.mean()),
        *(psnr(damaged, rgb, mask, truth) for mask in (found, near(truth))),
    )


def psnr(damaged: Picture, rgb: Picture, mask: Mask, truth: Mask) -> float:
    """Return PSNR in dB inside `truth` after a fill of `mask`."""
    filled = inpaint.fill(damaged, mask, model="telea").array
    miss = (filled[truth].astype(float) - rgb[truth]) ** 2
    return float(10 * np.log10(255**2 / max(miss.mean(), 1e-9))) if miss.size else float("nan")


def table(rows: dict[str, list[tuple[float, ...]]], count: int) -> str:
    head = [
        "",
        "recall",
        "precision",
        "precision, new",
        "clean, %",
        "PSNR by found",
        "PSNR by true",
    ]
    lines = [" | ".join(head).join(["| ", " |"]), "|" + " --- |" + " ---: |" * 6]
    for name, scores in rows.items():
        recall, precision, new, clean, ours, true = np.nanmean(np.array(scores), 0)
        cells = f"{recall:.3f} | {precision:.3f} | {new:.3f} | {100 * clean:.2f}"
        lines.append(f"| {name} | {cells} | {ours:.2f} | {true:.2f} |")
    return f"Means over {count} photos.\n\n" + "\n".join(lines) + "\n\n"


def timing(path: Path) -> str:
    """Time each finder once on a photo of 12 megapixels: of the process, on all cores."""
    rgb = np.array(Image.open(path).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC))
    calls = {
        "scratches": {},
        "dust": {},
        "text": {},
        "color": {"value": "#ff8c1e"},
        "object": {"box": (1200, 900, 1500, 1200)},
        "markup": {},
    }
    lines = ["| 12 megapixels | s | processor s |", "| --- | ---: | ---: |"]
    for kind, settings in calls.items():
        start, spent = perf_counter(), cpu_seconds()
        find(rgb, kind, **settings)
        lines.append(f"| {kind} | {perf_counter() - start:.2f} | {cpu_seconds() - spent:.2f} |")
    return "\n".join(lines) + "\n\n"


def cpu_seconds() -> float:
    from time import process_time

    return process_time()


def objects(folder: Path) -> str:
    """Compare objects cut out of loose boxes with plain GrabCut of the same boxes."""
    scores, outlined = [], []
    for rgb, truth, (x, y, w, h) in loose_boxes(folder):
        outlined.append(follows_edges(rgb, truth))
        mine = find(rgb, "object", box=(x, y, w, h))
        labels = np.zeros(truth.shape, np.uint8)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(rgb, labels, (x, y, w, h), *models, 5, cv2.GC_INIT_WITH_RECT)
        plain = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
        scores.append([(m & truth).sum() / (m | truth).sum() for m in (mine, plain)])
        print("object", *scores[-1], outlined[-1], flush=True)
    lines = ["| objects | count | object | plain GrabCut |", "| --- | ---: | ---: | ---: |"]
    for name, kept in (("outlined", outlined), ("all", [True] * len(scores))):
        chosen = np.array(scores)[np.array(kept)]
        cells = " | ".join(f"{mean:.3f}" for mean in chosen.mean(0)) if len(chosen) else " | "
        lines.append(f"| {name} | {len(chosen)} | {cells} |")
    return "Intersection over union with the masks of the pairs.\n\n" + "\n".join(lines) + "\n"


def follows_edges(rgb: Picture, mask: Mask) -> bool:
    """Whether edges of `rgb` are at least as strong along the border of `mask` as beside it."""
    soft = cv2.GaussianBlur(rgb, (0, 0), 1.2).astype(np.float32)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, n, 1 - n) for n in (1, 0))
    edges = cv2.dilate(np.hypot(across, down).max(-1), DISC)
    inside, outside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (mask, ~mask)
    )
    depth = inside - outside
    depth[[*range(8), *range(-8, 0)]] = depth[:, [*range(8), *range(-8, 0)]] = np.inf
    beside = max(6.0, 0.03 * np.sqrt(mask.sum()))
    lines = [np.abs(depth - at) <= 1 for at in (0, beside, -beside)]
    along, *others = (edges[line].mean() if line.any() else np.nan for line in lines)
    return bool(along >= np.nanmean(others))


def loose_boxes(folder: Path) -> Iterator[tuple[Picture, Mask, tuple[int, int, int, int]]]:
    """Yield photo, object and box for each part of each held-out mask of something to remove."""
    rng = np.random.default_rng(0)
    kinds = [line.split("\t")[:2] for line in (folder / "index.tsv").read_text().splitlines()]
    for name in (n for n, kind in kinds if kind == "removal" and n not in NO_OBJECTS):
        if not is_held_out(name):
            continue
        (path,) = (folder / name).glob("image.*")
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((800, 800))
        mask = Image.open(folder / name / "mask.png").convert("L").resize(photo.size)
        truth = np.array(mask) > 127
        _, parts, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8))
        for n, (x, y, w, h, area) in enumerate(stats):
            if n and area > 0.005 * truth.size:
                more = rng.uniform(0.1, 0.3, 2) / 2
                left, top = max(0, int(x - w * more[0])), max(0, int(y - h * more[1]))
                right = min(truth.shape[1], int(x + w * (1 + more[0])))
                bottom = min(truth.shape[0], int(y + h * (1 + more[1])))
                yield np.array(photo), parts == n, (left, top, right - left, bottom - top)


if __name__ == "__main__":
    main()
