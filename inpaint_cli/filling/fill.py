"""Fill the hole of a photo window by window.

Numpy alone: fillers know devices, `images` turns files into photos and masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import images
from ..api.fillers import Fallback, Filler
from ..api.sizes import Sizes
from ..errors import ImageError, InpaintError
from ..images.photo import STRIP, Hole
from ..models.auto import SHRUNK_SIDE, Auto, load_chosen
from ..models.choose import LoadedModel
from .hole import PhotoHole
from .options import RunOptions, options_to_dict
from .windows import Box, Region, plan_whole, plan_windows

BLACK_HOLE = "if black marks the hole, use --mask-invert"
LEAST_SPREAD = 1.0  # levels of 255, below which fills are said to hardly differ
SMALLEST = 32  # pixels a side, below which a window is not halved any more

Rgb = NDArray[np.float32]  # [H, W, 3] in 0..1
Notify = Callable[[str], None]  # is given sentences for the user
Progress = Callable[[int, int], None]  # is given the windows that are filled, and all


def ignore(sentence: str) -> None:
    """Ignore the sentence: the default of `notify`."""


def ignore_progress(done: int, total: int) -> None:
    """Ignore it: the default of `progress`."""


@dataclass(frozen=True, eq=False)
class Filled:
    """A filled photo and how it came about."""

    source: images.Photo
    photo: images.Photo  # filled
    hole: PhotoHole
    windows: Sequence[Box]
    model: LoadedModel  # whose filler filled it, after any fallback
    run: RunOptions
    sample: int = 0
    seconds: float = 0.0
    notes: Sequence[str] = ()  # sentences for the user

    @property
    def array(self) -> NDArray[Any]:
        """The filled photo as an array: of the shape and type that was given, or of the file."""
        return images.to_array(self.photo)

    @property
    def image(self) -> Image.Image:
        """The filled photo as a Pillow picture."""
        return images.to_image(self.photo)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the fill, as cards and reports hold them."""
        return options_to_dict(self.hole.options, self.run)

    def resample(self, sample: int, *, notify: Notify = ignore) -> Filled:
        """Fill the same hole again; another `sample` differs where the model is stochastic."""
        return fill_photo(
            self.model, self.source, self.hole, run=self.run, sample=sample, notify=notify
        )

    def save(
        self,
        output: str | Path | BinaryIO,
        *,
        overwrite: bool = False,
        verify: bool = False,
        quality: int | None = None,
        notify: Notify = ignore,
    ) -> FillResult:
        """Write a file in the format of its suffix, or into a stream in the photo's own format.

        `quality` (1 to 100) is of lossy formats, by default as near to the photo's as can be.
        `verify` reads the file again and notes what changed outside the hole. Raises
        `InpaintError` where the file exists, unless `overwrite`, and where a single pixel outside
        the hole changed in a lossless format.
        """
        drift, path = None, None
        if isinstance(output, str | Path):
            path = Path(output)
            drift, notes = write_filled(
                self.photo,
                self.source,
                self.hole.area,
                path,
                overwrite=overwrite,
                verify=verify,
                quality=quality,
            )
        else:
            data, notes = images.encode(self.photo, quality=quality)
            output.write(data)
        for note in notes:
            notify(note)
        return FillResult(
            path,
            self.seconds,
            self.model.device,
            self.model.precision,
            self.windows,
            int(np.count_nonzero(self.hole.area)),
            drift,
            (*self.notes, *notes),
        )


@dataclass(frozen=True)
class FillResult:
    """The outcome for one photo: its file, or None for a stream, and how it was made."""

    output: Path | None
    seconds: float  # of filling alone
    device: str
    precision: str
    windows: Sequence[Box]
    hole: int  # pixels
    drift: images.Drift | None
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return asdict(self) | {"output": self.output and str(self.output)}


def write_filled(
    photo: images.Photo,
    source: images.Photo,
    area: Hole,
    path: Path,
    *,
    overwrite: bool = False,
    verify: bool = False,
    quality: int | None = None,
) -> tuple[images.Drift | None, tuple[str, ...]]:
    """Write `photo`, which is `source` filled in `area` [H, W]; give the drift, and notes.

    With `verify` the file is read again, and its last note says what changed outside `area`.
    """
    notes = images.write_photo(photo, path, overwrite=overwrite, quality=quality)
    if not verify:
        return None, notes
    drift = images.verify(source, path, area)
    return drift, (*notes, describe_drift(drift, source, path))


def fill_photo(
    model: LoadedModel,
    photo: images.Photo,
    hole: PhotoHole,
    *,
    run: RunOptions = RunOptions(),  # noqa: B008 (it is frozen)
    sample: int = 0,
    notify: Notify = ignore,
    progress: Progress = ignore_progress,
) -> Filled:
    """Fill `hole` in windows; everything else stays as the file has it.

    Samples differ where the filler is stochastic. What had to be changed on the way is notified
    at once and noted: a precision that gave no numbers, a window that did not fit into memory.
    Raises `ImageError` where nothing is visible.
    """
    if not hole.area.any():
        note = f"there is no hole in {photo.name}: it stays as it is"
        notify(note)
        return Filled(photo, photo, hole, (), model, run, notes=(note,))
    if all((hole.area[rows] | photo.hidden(rows)).all() for rows in photo.strips()):
        raise ImageError(
            f"the hole is all of {photo.name} that is visible: nothing is left to fill it from;"
            f" {'see --mask-threshold' if hole.options.alpha else BLACK_HOLE}"
        )
    start = perf_counter()
    notes: list[str] = []
    if isinstance(model.filler, Auto):
        model, notes = choose_model(model.filler, photo, hole.area, run)
        for note in notes:
            notify(note)
    limit = run.window or model.filler.sizes.window
    while True:
        regions = plan_regions(photo, hole.area, model.filler.sizes, limit)
        windows = [window for region in regions for window in region.windows]
        steps = Steps(len(windows), progress)
        attempt = Attempt(model, photo, hole, run.seed, sample, limit, steps)
        try:
            filled = photo.paste(attempt.patches(regions), opaque=hole.options.alpha)
            seconds = perf_counter() - start
            return Filled(photo, filled, hole, windows, model, run, sample, seconds, notes)
        except Fallback as fallback:
            model = replace(model, filler=fallback.filler)
            notes.append(fallback.reason)
        except MemoryError as error:
            limit = halve_limit(model.filler, windows, limit, error)
            notes.append(f"a window of {2 * limit} pixels does not fit into memory; using {limit}")
        notify(notes[-1])


def choose_model(
    auto: Auto, photo: images.Photo, area: Hole, run: RunOptions
) -> tuple[LoadedModel, list[str]]:
    """Load the model that `auto` chooses; return it with notes on the choice and its terms.

    It is shown every n-th pixel of a large photo, which costs no memory to speak of.
    """
    step = max(1, max(photo.size) // (4 * SHRUNK_SIDE))
    every = (slice(None, None, step),) * 2
    choice = auto.choose(photo.colours(photo.pixels[every]), area[every])
    model = load_chosen(choice.name, run.device, run.precision)
    return model, [choice.reason, *model.notes]


def plan_regions(photo: images.Photo, area: Hole, sizes: Sizes, limit: int) -> list[Region]:
    """Return the regions to fill: the whole photo where one of them would see nothing."""
    regions = plan_windows(area, sizes, limit)
    if photo.channel and any(unknown_pixels(photo, area, each.box).all() for each in regions):
        return [plan_whole(area, sizes, limit)]
    return regions


def unknown_pixels(photo: images.Photo, area: Hole, box: Box) -> Hole:
    """Return what no model may see of a window: the hole, and what is fully transparent."""
    part = area[box.slices]
    return part | photo.hidden(*box.slices) if photo.channel else part


def halve_limit(filler: Filler, windows: Sequence[Box], limit: int, error: MemoryError) -> int:
    """Return half the side of the largest of `windows`; raise where that is too small."""
    side = max(max(window.height, window.width) for window in windows)
    side = side if filler.sizes.tiles else min(side, limit)
    if side // 2 < max(*filler.sizes.fit(1, 1), SMALLEST):
        raise InpaintError(
            f"a window of {side} pixels does not fit into memory ({error});"
            " try --device cpu, or close other programs"
        ) from None
    return side // 2


@dataclass
class Steps:
    """The windows of an attempt, counted as they are done."""

    total: int
    progress: Progress
    done: int = 0

    def advance(self) -> None:
        self.done += 1
        self.progress(self.done, self.total)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a photo: everything that its windows share."""

    model: LoadedModel
    photo: images.Photo
    hole: PhotoHole
    seed: int
    sample: int
    limit: int  # pixels a side of the windows
    steps: Steps

    def patches(self, regions: Sequence[Region]) -> Iterator[images.Patch]:
        """Yield what to paste for each region."""
        for region in regions:
            box = region.box
            hole = self.hole.area[box.slices] if region.hole is None else region.hole
            filled = self.fill_region(region)
            if pixels := self.hole.options.feather:
                share = images.feather(hole, pixels, core=self.hole.core[box.slices])
                old = self.crop(box)
                filled = old + share[..., None] * (filled - old)
            yield images.Patch(box.top, box.left, filled, hole)
            if len(region.windows) == 1:
                self.steps.advance()

    def crop(self, box: Box) -> Rgb:
        return self.photo.crop(box.top, box.left, box.height, box.width)

    def fill_region(self, region: Region) -> Rgb:
        """Return the region [h, w, 3] filled.

        What is too large, and may not be cut into tiles, is filled at a reduced scale. In tiles,
        the hole is first filled at a reduced scale, in one window, so that each tile sees
        something all around what it owns, and its neighbours where they are done already.
        """
        box, hole = region.box, unknown_pixels(self.photo, self.hole.area, region.box)
        rgb = self.crop(box)
        if not self.model.filler.sizes.tiles and max(hole.shape) > self.limit:
            return self.fill_reduced(rgb, hole, self.limit)
        if len(region.windows) == 1:
            return self.fill_window(rgb, hole, box.top, box.left)
        filled = self.fill_reduced(rgb, hole, max(max(w.height, w.width) for w in region.windows))
        for window, share in zip(region.windows, region.shares(), strict=True):
            at = window.within(box).slices
            part, mine = filled[at], hole[at] & (share > 0)
            new = self.fill_window(part.copy(), mine, window.top, window.left)
            part += share[..., None] * (new - part)
            self.steps.advance()
        return filled

    def fill_reduced(self, rgb: Rgb, hole: Hole, side: int) -> Rgb:
        """Fill `rgb` [H, W, 3] shrunk to `side` pixels, and enlarge what that gives."""
        import cv2

        small, gone = shrink_visible(rgb, hole, side)
        if gone.any():
            small = self.fill_window(small, gone, 0, 0)
        large = cv2.resize(small, hole.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return np.where(hole[..., None], large.clip(0, 1), rgb)

    def fill_window(self, rgb: Rgb, hole: Hole, top: int, left: int) -> Rgb:
        """Fill `hole` in `rgb` [h, w, 3], in place; its place in the photo seeds chance."""
        rng = np.random.default_rng((self.seed, self.sample, top, left))
        if not fill_array(self.model.filler, rgb, hole, rng):
            raise InpaintError(
                f"{self.model.name} gave values that are not finite; its weights may be damaged"
            )
        return rgb


def fill_array(filler: Filler, rgb: Rgb, hole: Hole, rng: np.random.Generator) -> bool:
    """Fill `hole` [H, W] in `rgb` [H, W, 3], in place; say whether all of it came out finite.

    The filler sees 0 where the hole is, in a size that it takes: both are mirrored to the right
    and below as far as that reaches. Values are clipped to 0..1.
    """
    rgb[hole] = 0
    height, width = hole.shape
    rows, columns = filler.sizes.fit(height, width)
    seen, area = rgb, hole
    for axis, more in ((0, rows - height), (1, columns - width)):
        if more:
            mode = "reflect" if more < seen.shape[axis] else "edge"
            extra = [(0, 0)] * 3
            extra[axis] = (0, more)
            seen, area = np.pad(seen, extra, mode), np.pad(area, extra[:2], mode)
    filled, finite = filler.fill(seen, area, rng)[:height, :width], True
    for top in range(0, height, STRIP):
        part = hole[top : top + STRIP]
        values = filled[top : top + STRIP][part]
        finite = finite and bool(np.isfinite(values).all())
        rgb[top : top + STRIP][part] = values.clip(0, 1)
    return finite


def shrink_visible(rgb: Rgb, hole: Hole, side: int) -> tuple[Rgb, Hole]:
    """Return `rgb` and `hole` at `side` pixels; a pixel shows what of it is visible."""
    import cv2

    size = [max(1, round(length * side / max(hole.shape))) for length in hole.shape[::-1]]
    known = (~hole).astype(np.float32)[..., None]
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]
    small = cv2.resize(rgb * known, size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(share, 1e-6)
    return small.astype(np.float32, copy=False), share[..., 0] < min(0.5, share.max())


def measure_spread(one: Filled, other: Filled) -> float:
    """Return the mean difference of two fills of one hole, in levels of 255."""
    rows, columns = (np.flatnonzero(one.hole.area.any(axis)) for axis in (1, 0))
    box = Box(rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
    area = one.hole.area[box.slices]
    first, second = (
        filled.photo.crop(box.top, box.left, box.height, box.width)[area] for filled in (one, other)
    )
    return 255 * float(np.abs(first - second).mean())


def describe_spread(spread: float) -> str | None:
    """Return a sentence where fills differ by `spread` levels of 255, which is hardly at all."""
    if spread >= LEAST_SPREAD:
        return None
    return (
        f"the fills hardly differ: by {spread:.2g} of 255 on average; this model has learned to"
        " draw almost the same each time"
    )


def describe_run(model: LoadedModel) -> str:
    """Return a sentence that says what fills, where and how exactly."""
    return f"filling on {model.device} in {model.precision} precision: {model}"


def describe_drift(drift: images.Drift, photo: images.Photo, path: Path) -> str:
    """Return a sentence about what changed outside the hole; raise where nothing may change."""
    if not drift.ok:
        raise InpaintError(
            f"{path} differs from {photo.name} in {drift.count} pixels outside the hole,"
            f" by up to {drift.largest:g}: do not use it, and report this"
        )
    amount = f", by {drift.largest:g} at most, {drift.mean:.2g} on average" if drift.count else ""
    return f"{path}: {drift.count} of {drift.outside} pixels outside the hole changed{amount}"
