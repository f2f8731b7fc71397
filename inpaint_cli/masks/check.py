"""What is wrong with a set of masks, each finding a sentence that says what to do about it.

Knows files and photos, but no generator: a mask is judged by its pixels alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

import numpy as np

from ..api.masks import Mask, on_border
from ..errors import DataError, ImageError
from ..files.pairs import pair_files
from ..images import read_mask, read_photo, resize_mask, same_shape, to_bytes
from ..images.read import image_size
from ..reports.contact_sheet import overlay_hole
from .generate import photo_names
from .manifest import MANIFEST, read_manifest
from .sheet import SHEET_MASKS, spread_evenly, write_sheet

Polarity = Literal["white", "black", "unclear"]
GRAY_SHARE = 0.2  # with more than this between black and white it is not a mask but a photo
NOISE_SHARE = 0.001  # with less than this it is as good as black and white


@dataclass(frozen=True)
class MaskLook:
    """One mask as it was found; shares lie in 0..1."""

    name: str
    height: int
    width: int
    ratio: float  # share of the picture that is hole
    edge: float  # share of the picture's edge that is hole
    border: bool  # whether the hole touches the edge
    between: float  # share that is neither black nor white, or nearly so
    impure: float  # share that is not exactly black or white
    peak: float  # brightest level, 0 to 255
    in_alpha: bool

    @property
    def hole(self) -> Polarity:
        """Which colour seems to be the hole: holes seldom fill the edge and most of a picture."""
        if self.ratio > 0.5 and self.edge > 0.75:
            return "black"
        return "white" if self.ratio < 0.5 or self.edge < 0.25 else "unclear"


@dataclass(frozen=True)
class Finding:
    """A sentence about some masks; `problem` where a fill would go wrong or stop."""

    problem: bool
    text: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'problem' if self.problem else 'note'}: {self.text}{some_names(self.files)}"


@dataclass(frozen=True)
class MaskReport:
    path: Path
    looks: tuple[MaskLook, ...]
    findings: tuple[Finding, ...]
    photos: Mapping[str, Sequence[Path]]  # by the name of their mask

    @property
    def problems(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.problem]

    @property
    def polarity(self) -> Polarity:
        """Which colour is the hole in most masks that tell."""
        votes = Counter[Polarity](m.hole for m in self.looks if m.hole != "unclear")
        return votes.most_common(1)[0][0] if votes else "unclear"

    @property
    def bins(self) -> list[int]:
        """How many masks have a hole of (0, 10], (10, 20], ... (90, 100] percent."""
        counts = [0] * 10
        for look in self.looks:
            if look.ratio:
                counts[min(9, int(np.ceil(look.ratio * 10 - 1e-9)) - 1)] += 1
        return counts

    def as_json(self) -> dict[str, Any]:
        ratios = [look.ratio for look in self.looks]
        return {
            "path": str(self.path),
            "masks": len(self.looks),
            "hole": self.polarity,
            "mean_ratio": mean(ratios) if ratios else None,
            "bins": self.bins,
            "on_border": sum(look_at_mask.border for look_at_mask in self.looks),
            "findings": [asdict(finding) for finding in self.findings],
            "files": [
                asdict(look_at_mask) | {"hole": look_at_mask.hole} for look_at_mask in self.looks
            ],
        }

    def as_text(self) -> str:
        return "\n".join([*self.summary(), *map(str, self.findings), self.verdict()])

    def summary(self) -> Iterator[str]:
        if not self.looks:
            return
        ratios = [look.ratio for look in self.looks]
        sizes = Counter(f"{look.width}x{look.height}" for look in self.looks).most_common()
        more = f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else ""
        yield f"{count_text(len(ratios), 'mask')} in {self.path}: " + (
            ", ".join(f"{size} ({count})" for size, count in sizes[:4]) + more
        )
        yield f"the hole is {self.polarity}" + (
            ": masks alone cannot tell" if self.polarity == "unclear" else ", as far as shapes tell"
        )
        yield (
            f"hole: mean {mean(ratios):.1%}, median {median(ratios):.1%}, from {min(ratios):.1%} "
            f"to {max(ratios):.1%}"
        )
        bins = self.bins
        for n, count in enumerate(bins):
            if count:
                bar = "#" * max(1, round(40 * count / max(bins)))
                yield f"  {n * 10:3d}-{n * 10 + 10:<3d} % {count:6d} {bar}"
        touching = sum(look.border for look in self.looks)
        yield f"border: {touching} of {len(ratios)} holes touch the edge of the picture"

    def verdict(self) -> str:
        found = count_text(len(self.problems), "problem") if self.problems else "nothing wrong"
        notes = len(self.findings) - len(self.problems)
        return found + (f", {count_text(notes, 'note')}" if notes else "")


def inspect_masks(path: Path, images: Path | None = None) -> MaskReport:
    """Look at the mask at `path`, or at all below it, and at the photos they are for.

    Raises `DataError` where there is no picture to look at.
    """
    root = path if path.is_dir() else path.parent
    names, photos, partners = pair_with_photos(path, images)
    looks, unreadable = [], []
    for name in names:
        try:
            looks.append(look_at_mask(root / name, name))
        except ImageError as error:
            unreadable.append(Finding(True, str(error).replace(f"{root}/", "")))
    findings = [
        *unreadable,
        *judge_masks(looks, unchanged_masks(root, looks) if path.is_dir() else set()),
        *partners,
        *find_mismatches(looks, photos),
    ]
    return MaskReport(path, tuple(looks), tuple(findings), photos)


def pair_with_photos(
    path: Path, images: Path | None
) -> tuple[list[str], dict[str, list[Path]], list[Finding]]:
    """The names of the masks, the photos of each, and what is left without a partner."""
    if images is None or not images.is_dir():
        if images and path.is_dir():
            raise DataError(f"{images} is one photo; give the folder of their photos")
        names = photo_names(path) if path.is_dir() else [path.name]
        return names, {path.name: [images]} if images else {}, []
    found = pair_files(images, path)
    photos: dict[str, list[Path]] = {} if path.is_dir() else {path.name: []}
    for item in found.pairs:
        if item.mask:
            name = item.mask.relative_to(path).as_posix() if path.is_dir() else path.name
            photos.setdefault(name, []).append(item.photo)
    findings = [
        Finding(True, next(iter(lone.values())), tuple(lone) if len(lone) > 1 else ())
        for lone in (found.alone, found.unused)  # the first stands for all of its sort
        if lone
    ]
    return sorted({*photos, *found.unused}), photos, findings


def look_at_mask(path: Path, name: str) -> MaskLook:
    mask = read_mask(path)
    hole = mask.hole
    edges = np.concatenate([hole[0], hole[-1], hole[1:-1, 0], hole[1:-1, -1]])
    return MaskLook(
        name=name,
        height=hole.shape[0],
        width=hole.shape[1],
        ratio=float(hole.mean()),
        edge=float(edges.mean()),
        border=on_border(hole),
        between=mask.between,
        impure=mask.impure,
        peak=mask.peak,
        in_alpha=mask.in_alpha,
    )


def unchanged_masks(root: Path, looks: Sequence[MaskLook]) -> set[str]:
    """Masks that are as the manifest beside them says, so that there is nothing to guess."""
    if not (root / MANIFEST).is_file():
        return set()
    try:
        drawn = {entry.file: entry for entry in read_manifest(root / MANIFEST)[1]}
    except DataError:
        return set()
    return {
        look_at_mask.name
        for look_at_mask in looks
        if look_at_mask.name in drawn
        and round(look_at_mask.ratio * look_at_mask.height * look_at_mask.width)
        == drawn[look_at_mask.name].pixels
    }


def judge_masks(looks: Sequence[MaskLook], intact: set[str]) -> Iterator[Finding]:
    """What the masks themselves show."""

    def where(condition) -> tuple[str, ...]:
        return tuple(item.name for item in looks if condition(item))

    if gray := where(lambda m: m.between > GRAY_SHARE):
        yield Finding(True, "mostly gray, so no masks; are these the photos?", gray)
    if dim := where(lambda m: not m.ratio and m.peak > 0.5 and m.between <= GRAY_SHARE):
        level = round(min(item.peak for item in looks if item.name in dim))
        text = f"nothing reaches half brightness: use fill --mask-threshold {level}"
        yield Finding(True, text, dim)
    if blank := where(lambda m: not m.ratio and m.peak <= 0.5):
        yield Finding(True, "all black, so there is no hole; leave them out", blank)
    if full := where(lambda m: m.ratio == 1 and m.name not in intact):
        text = "all white, so nothing is left to fill from; look at the file that made them"
        yield Finding(True, text, full)
    black = where(
        lambda m: (
            m.hole == "black" and m.ratio < 1 and m.between <= GRAY_SHARE and m.name not in intact
        )
    )
    if black:
        text = "white at the edges and in most of the picture, so black seems to be the hole: "
        yield Finding(True, f"{text}if it is, use fill --mask-invert", black)
    if soft := where(lambda m: m.peak > 1.5 and m.impure > NOISE_SHARE and m.between <= GRAY_SHARE):
        worst = max(item.impure for item in looks if item.name in soft)
        text = (
            f"up to {worst:.1%} is not quite black or white (JPEG noise, soft edges): fill cuts "
            "at half, --mask-threshold moves the cut, and PNG keeps masks clean"
        )
        yield Finding(False, text, soft)
    if alpha := where(lambda m: m.in_alpha):
        text = (
            "the shape is in the transparency: fill takes what is opaque as hole, other tools may "
            "see a white page, so better save it in black and white"
        )
        yield Finding(False, text, alpha)


def find_mismatches(
    looks: Sequence[MaskLook], photos: Mapping[str, Sequence[Path]]
) -> Iterator[Finding]:
    """Masks that do not lie on their photo."""
    turned, scaled, other = [], [], []
    for item, photo in ((m, photo) for m in looks for photo in photos.get(m.name, ())):
        try:
            height, width = image_size(photo)
        except ImageError as error:
            yield Finding(True, str(error))
            continue
        if (item.height, item.width) == (height, width):
            continue
        sizes = f"{item.name} {item.width}x{item.height} for {width}x{height}"
        if (item.width, item.height) == (height, width):
            turned.append(sizes)
        elif same_shape((item.height, item.width), (height, width)):
            scaled.append(sizes)
        else:
            other.append(sizes)
    for files, text in (
        (turned, "lies on its side: turn the mask as the photo is shown, EXIF orientation applied"),
        (scaled, "the photo's shape in another size: use fill --mask-resize"),
        (other, "neither the photo's size nor its shape: make the mask anew from this photo"),
    ):
        if files:
            yield Finding(True, text, tuple(files))


def write_check_sheet(report: MaskReport, path: Path) -> None:
    """Masks as a picture, over their photos where there are some; those with findings first."""
    named = {file.partition(" ")[0] for finding in report.findings for file in finding.files}
    first = [item for item in report.looks if item.name in named][:SHEET_MASKS]
    rest = [item for item in report.looks if item.name not in named]
    chosen = [*first, *spread_evenly(rest, SHEET_MASKS - len(first))]
    root = report.path if report.path.is_dir() else report.path.parent
    cells = [
        (
            mask_view(root / m.name, next(iter(report.photos.get(m.name, ())), None)),
            f"{m.ratio:.1%} {m.name}",
        )
        for m in chosen
    ]
    write_sheet(
        cells, path, f"{report.path}: {count_text(len(report.looks), 'mask')}, {report.verdict()}"
    )


def mask_view(mask: Path, photo: Path | None) -> Any:
    """A mask to be looked at: over its photo, whose size it is brought to, or alone."""
    hole: Mask = read_mask(mask).hole
    if photo is not None:
        try:
            rgb = to_bytes(read_photo(photo).rgb)
            return overlay_hole(rgb, resize_mask(hole, rgb.shape[:2]))
        except ImageError:
            pass  # a finding already
    return hole.astype(np.uint8) * 255


def count_text(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def some_names(files: Sequence[str]) -> str:
    """The first few of `files`, in brackets."""
    more = f", and {len(files) - 3} more" if len(files) > 3 else ""
    return f" ({', '.join(files[:3])}{more})" if files else ""
