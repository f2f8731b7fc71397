"""Check a set of masks: every finding is a sentence that says what to do.

Masks are judged by their pixels, their photos and their manifest; no generator is needed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..api.masks import on_border
from ..arguments import AnyPath, check_arguments
from ..errors import DataError, ImageError
from ..files.pairs import pair_files
from ..files.pictures import picture_format
from ..files.stores import holds_files, list_masks, list_pictures
from ..files.write import check_free
from ..images import read_photo, resize_mask, same_shape, to_bytes
from ..images.levels import HALF
from ..images.masks import open_mask
from ..images.read import image_size
from ..reports.contact_sheet import overlay_hole
from ..wording import count_text, name_some
from .manifest import MANIFEST, UNFINISHED, read_manifest
from .sheet import SHEET_MASKS, spread_evenly, write_sheet

HoleColour = Literal["white", "black", "unclear"]
NOISE_SHARE = 0.001  # with less than this it is as good as black and white


@dataclass(frozen=True)
class MaskStats:
    """Statistics of a mask; shares are 0 to 1."""

    name: str
    height: int
    width: int
    ratio: float  # hole area / image area
    edge: float  # share of the image's edge that is hole
    border: bool  # whether the hole touches the edge
    fault: str  # why it is no mask, as what follows "it is"
    impure: float  # share that is not exactly black or white
    levels: tuple[float, float] | None  # the two that it has alone, if they are not black and white
    in_alpha: bool

    @property
    def hole(self) -> HoleColour:
        """The colour that is probably the hole: holes seldom fill the edge and most of an image."""
        if self.ratio > 0.5 and self.edge > 0.75:
            return "black"
        return "white" if self.ratio < 0.5 or self.edge < 0.25 else "unclear"


@dataclass(frozen=True)
class Finding:
    """A sentence about some masks; `problem` where a fill would fail or come out wrong."""

    problem: bool
    text: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        files = f" ({name_some(self.files)})" if self.files else ""
        return f"{'problem' if self.problem else 'note'}: {self.text}{files}"


@dataclass(frozen=True)
class MaskReport:
    """The masks at `path`, and what is wrong with them."""

    path: Path
    masks: tuple[MaskStats, ...]
    findings: tuple[Finding, ...]
    photos: Mapping[str, Sequence[Path]]  # by the name of their mask

    @property
    def problems(self) -> list[Finding]:
        """The findings that make a fill fail or come out wrong."""
        return [finding for finding in self.findings if finding.problem]

    @property
    def polarity(self) -> HoleColour:
        """The colour that is probably the hole in most masks."""
        votes = Counter[HoleColour](m.hole for m in self.masks if m.hole != "unclear")
        return votes.most_common(1)[0][0] if votes else "unclear"

    @property
    def bins(self) -> list[int]:
        """The numbers of masks with a hole of (0, 10], (10, 20], ... (90, 100] percent."""
        counts = [0] * 10
        for mask in self.masks:
            if mask.ratio:
                counts[min(9, int(np.ceil(mask.ratio * 10 - 1e-9)) - 1)] += 1
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        ratios = [mask.ratio for mask in self.masks]
        return {
            "path": str(self.path),
            "masks": len(self.masks),
            "hole": self.polarity,
            "mean_ratio": mean(ratios) if ratios else None,
            "bins": self.bins,
            "on_border": sum(mask.border for mask in self.masks),
            "findings": [asdict(finding) for finding in self.findings],
            "files": [asdict(mask) | {"hole": mask.hole} for mask in self.masks],
        }

    @property
    def text(self) -> str:
        """Sizes, hole ratios and findings, as lines of text."""
        return "\n".join([*self.summary(), *map(str, self.findings), self.verdict])

    def summary(self) -> Iterator[str]:
        """Yield lines on sizes, the colour of the hole, and hole ratios."""
        if not self.masks:
            return
        ratios = [mask.ratio for mask in self.masks]
        sizes = Counter(f"{mask.width}x{mask.height}" for mask in self.masks).most_common()
        listed = name_some([f"{size} ({count})" for size, count in sizes], 4)
        yield f"{count_text(len(ratios), 'mask')} in {self.path}: {listed}"
        if self.polarity == "unclear":
            yield "the hole is black or white: the masks alone do not show which"
        else:
            yield f"the hole is {self.polarity}, judging by its shape"
        yield (
            f"hole: mean {mean(ratios):.1%}, median {median(ratios):.1%}, from {min(ratios):.1%} "
            f"to {max(ratios):.1%}"
        )
        bins = self.bins
        for n, count in enumerate(bins):
            if count:
                bar = "#" * max(1, round(40 * count / max(bins)))
                yield f"  {n * 10:3d}-{n * 10 + 10:<3d} % {count:6d} {bar}"
        touching = sum(mask.border for mask in self.masks)
        yield f"border: {touching} of {len(ratios)} holes touch the edge of the image"

    @property
    def verdict(self) -> str:
        """The numbers of problems and notes."""
        found = count_text(len(self.problems), "problem") if self.problems else "no problems"
        notes = len(self.findings) - len(self.problems)
        return found + (f", {count_text(notes, 'note')}" if notes else "")


@check_arguments
def inspect_masks(
    path: AnyPath,
    images: AnyPath | None = None,
    *,
    sheet: AnyPath | None = None,
    overwrite: bool = False,
) -> MaskReport:
    """Check the mask at `path`, or all masks below it, and whether they fit their photos.

    `images` is the folder of the photos, paired with the masks by name, or the photo of one mask.
    `sheet` is a file for a contact sheet: masks over their photos, those with findings first.
    Raises `DataError` where there is no image file, or `InpaintError` where `sheet` exists,
    unless `overwrite`.

    >>> from tempfile import mkdtemp
    >>> from inpaint_cli.masks.generate import generate_masks
    >>> inspect_masks(generate_masks("boxes", mkdtemp(), count=2).folder).verdict
    'no problems'
    """
    path, images = Path(path), Path(images) if images else None
    if sheet:
        picture_format(Path(sheet))
        check_free(Path(sheet), overwrite=overwrite)
    places = list_pictures(path) if holds_files(path) else {path.name: path}
    if not places:
        raise DataError(f"no image files in {path}; give a folder of masks")
    names, photos, partners = pair_with_photos(path, places, images)
    masks, findings = measure_masks({name: places[name] for name in names})
    if (path / UNFINISHED).is_file():
        text = "the set is unfinished: run the command that draws it again"
        findings.append(Finding(True, text, (UNFINISHED,)))
    intact = unchanged_masks(path, masks)
    findings += [*judge_masks(masks, intact), *partners, *find_mismatches(masks, photos)]
    report = MaskReport(path, tuple(masks), tuple(findings), photos)
    if sheet:
        write_check_sheet(report, places, Path(sheet))
    return report


def pair_with_photos(
    path: Path, places: Mapping[str, Path], images: Path | None
) -> tuple[list[str], dict[str, list[Path]], list[Finding]]:
    """Return the names of the masks, the photos of each, and findings on files without partner."""
    if images is None or not holds_files(images):
        if images and holds_files(path):
            raise DataError(f"{images} is one photo; give the folder of their photos")
        names = list_masks(path) if holds_files(path) else places
        return [*names], {path.name: [images]} if images else {}, []
    pairing = pair_files(images, path)
    photos: dict[str, list[Path]] = {} if holds_files(path) else {path.name: []}
    names = {place: name for name, place in places.items()}
    for pair in pairing.pairs:
        if pair.mask:
            photos.setdefault(names[pair.mask], []).append(pair.photo)
    findings = [
        Finding(
            True, next(iter(unmatched.values())), tuple(unmatched) if len(unmatched) > 1 else ()
        )
        for unmatched in (pairing.alone, pairing.unused)  # the first sentence stands for all
        if unmatched
    ]
    return sorted({*photos, *pairing.unused}), photos, findings


def measure_masks(
    places: Mapping[str, Path],
) -> tuple[list[MaskStats], list[Finding]]:
    """Return statistics of masks, paths by name, and findings on those not readable."""
    masks, findings = [], []
    for name, place in places.items():
        try:
            masks.append(measure_mask(place, name))
        except ImageError as error:
            findings.append(Finding(True, str(error).replace(str(place), name)))
    return masks, findings


def measure_mask(path: Path, name: str) -> MaskStats:
    """Return the statistics of a mask."""
    mask, _ = open_mask(path)
    hole, levels = mask.hole, mask.levels
    assert levels is not None  # of a file
    unclear = levels.two and not levels.empty and not levels.low < HALF <= levels.high
    edges = np.concatenate([hole[0], hole[-1], hole[1:-1, 0], hole[1:-1, -1]])
    return MaskStats(
        name=name,
        height=hole.shape[0],
        width=hole.shape[1],
        ratio=float(hole.mean()),
        edge=float(edges.mean()),
        border=on_border(hole),
        fault=levels.fault,
        impure=0.0 if levels.two or levels.empty else levels.impure,
        levels=(levels.low * 255, levels.high * 255) if unclear else None,
        in_alpha=mask.in_alpha,
    )


def unchanged_masks(root: Path, masks: Sequence[MaskStats]) -> set[str]:
    """Return the masks that are as the manifest in `root` describes them."""
    if not (root / MANIFEST).is_file():
        return set()
    try:
        pixels = {entry.file: entry.pixels for entry in read_manifest(root / MANIFEST)[1]}
    except DataError:
        return set()
    return {m.name for m in masks if pixels.get(m.name) == round(m.ratio * m.height * m.width)}


@dataclass(frozen=True)
class Rule:
    """A kind of finding: the masks to which it applies, and its text for them."""

    problem: bool
    applies: Callable[[MaskStats], bool]
    text: Callable[[Sequence[MaskStats]], str]
    guess: bool = False  # not for masks that are as their manifest describes them


RULES = (
    Rule(
        True,
        lambda m: not m.ratio and not m.fault,
        lambda _: "all black, so there is no hole: remove these masks",
    ),
    Rule(
        False,
        lambda m: m.levels is not None and m.ratio < 1,
        lambda masks: (
            "two levels that are not black and white, such as"
            f" {' and '.join(f'{level:.3g}' for level in masks[0].levels or ())}: fill takes the"
            " upper one as the hole"
        ),
    ),
    Rule(
        True,
        lambda m: m.ratio == 1,
        lambda _: "all white, so nothing is visible to fill from: check what wrote these masks",
        guess=True,
    ),
    Rule(
        True,
        lambda m: m.hole == "black" and m.ratio < 1 and not m.fault,
        lambda _: (
            "white at the edges and over most of the image, so black is probably the hole: if it "
            "is, use fill --mask-invert"
        ),
        guess=True,
    ),
    Rule(
        False,
        lambda m: m.impure > NOISE_SHARE and not m.fault,
        lambda masks: (
            f"up to {max(m.impure for m in masks):.1%} of the pixels are not exactly black or white"
            " (JPEG noise, soft edges): fill cuts at half brightness, or at --mask-threshold; PNG"
            " keeps masks exact"
        ),
    ),
    Rule(
        False,
        lambda m: m.in_alpha,
        lambda _: (
            "the mask is in the alpha channel: fill takes opaque pixels as the hole, but other "
            "programs may see a white image; save masks in black and white"
        ),
    ),
)


def judge_masks(masks: Sequence[MaskStats], intact: set[str]) -> Iterator[Finding]:
    """Yield what the masks themselves show; `intact` ones are as their manifest describes them."""
    for fault in dict.fromkeys(m.fault for m in masks if m.fault):
        names = tuple(m.name for m in masks if m.fault == fault)
        text = f"{fault}; are these the photos? For masks, use fill --mask-threshold N"
        yield Finding(True, text, names)
    for rule in RULES:
        chosen = [m for m in masks if rule.applies(m) and not (rule.guess and m.name in intact)]
        if chosen:
            yield Finding(rule.problem, rule.text(chosen), tuple(m.name for m in chosen))


def find_mismatches(
    masks: Sequence[MaskStats], photos: Mapping[str, Sequence[Path]]
) -> Iterator[Finding]:
    """Yield findings on masks that do not have the size of their photo."""
    mismatches: dict[str, list[str]] = {}
    for mask, photo in ((m, photo) for m in masks for photo in photos.get(m.name, ())):
        try:
            height, width = image_size(photo)
        except ImageError as error:
            yield Finding(True, str(error))
            continue
        if (mask.height, mask.width) != (height, width):
            text = mismatch_text((mask.height, mask.width), (height, width))
            sizes = f"{mask.name} {mask.width}x{mask.height} for {width}x{height}"
            mismatches.setdefault(text, []).append(sizes)
    for text, files in mismatches.items():
        yield Finding(True, text, tuple(files))


def mismatch_text(mask: tuple[int, int], photo: tuple[int, int]) -> str:
    """Return what is wrong with a mask of another size (height, width) than its photo."""
    if mask == photo[::-1]:
        return "rotated: rotate the mask to the photo as it is shown (EXIF orientation applied)"
    if same_shape(mask, photo):
        return "of the photo's aspect ratio, but not its size: use fill --mask-resize"
    return "of another size and aspect ratio: make a new mask from this photo"


def write_check_sheet(report: MaskReport, places: Mapping[str, Path], path: Path) -> None:
    """Write a contact sheet of masks over their photos, those with findings first."""
    named = {file.partition(" ")[0] for finding in report.findings for file in finding.files}
    first = [mask for mask in report.masks if mask.name in named][:SHEET_MASKS]
    rest = [mask for mask in report.masks if mask.name not in named]
    cells = []
    for mask in [*first, *spread_evenly(rest, SHEET_MASKS - len(first))]:
        photo = next(iter(report.photos.get(mask.name, ())), None)
        cells.append((mask_view(places[mask.name], photo), f"{mask.ratio:.1%} {mask.name}"))
    heading = f"{report.path}: {count_text(len(report.masks), 'mask')}, {report.verdict}"
    write_sheet(cells, path, heading)


def mask_view(mask: Path, photo: Path | None) -> NDArray[np.uint8]:
    """Return a mask over its photo, resized to it, or by itself."""
    hole = open_mask(mask)[0].hole
    if photo is not None:
        try:
            rgb = to_bytes(read_photo(photo).rgb)
            return overlay_hole(rgb, resize_mask(hole, rgb.shape[:2]))
        except ImageError:
            pass  # a finding already
    return hole.astype(np.uint8) * 255
