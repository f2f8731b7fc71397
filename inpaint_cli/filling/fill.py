"""Fill the holes of an image, and of a photo of any size window by window.

Knows neither files nor the command line; `images` turns files into photos and masks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import images
from ..api.architectures import Precision, Sizes
from ..errors import ImageError, InpaintError
from ..models.weights import Model
from ..runtime import devices
from ..runtime.seed import seed_torch
from .hole import Hole
from .options import FillOptions
from .windows import Box, Region, plan_windows

SMALLEST = 32  # pixels a side, below which a window is not halved any more


@dataclass(frozen=True)
class FilledPhoto:
    """A filled photo and how it came about."""

    photo: images.Photo
    hole: Hole  # [H, W], grown
    windows: Sequence[Box]
    precision: Precision
    notes: Sequence[str]


def shrink_visible(
    rgb: NDArray[np.float32], hole: Hole, side: int
) -> tuple[NDArray[np.float32], Hole]:
    """`rgb` [H, W, 3] and `hole` [H, W] at `side` pixels; a pixel shows what of it is visible."""
    import cv2

    size = [max(1, round(length * side / max(hole.shape))) for length in hole.shape[::-1]]
    known = (~hole).astype(np.float32)[..., None]
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]
    small = cv2.resize(rgb * known, size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(share, 1e-6)
    return small.astype(np.float32, copy=False), share[..., 0] < min(0.5, share.max())


@torch.inference_mode()
def fill_tensors(net: nn.Module, sizes: Sizes, image: Tensor, mask: Tensor) -> Tensor:
    """Fill `image` [N, 3, H, W] where `mask` [N, 1, H, W] is over 1/2; the rest stays as it is.

    Both are continued to the right and below, mirrored where that reaches far enough, to a size
    that the network takes. What it gives is cut to 0..1; what is no number comes back as NaN.
    """
    height, width = image.shape[-2:]
    mask = (mask > 0.5).to(image.dtype)
    known, hole = (pad_to_size(t, sizes) for t in (image * (1 - mask), mask))
    out = net(known, hole)
    picture = (out if isinstance(out, Tensor) else out[0])[..., :height, :width].to(image)
    sound = torch.where(picture.isfinite(), picture, torch.nan).clamp(0, 1)
    return torch.where(mask > 0, sound, image)


def pad_to_size(image: Tensor, sizes: Sizes) -> Tensor:
    """`image` [N, C, H, W] in a size that the network takes."""
    height, width = image.shape[-2:]
    rows, columns = sizes.fit(height, width)
    for extra, side in ((0, 0, 0, rows - height), height), ((0, columns - width, 0, 0), width):
        if any(extra):
            image = F.pad(image, extra, mode="reflect" if max(extra) < side else "replicate")
    return image


def fill_photo(
    model: Model,
    photo: images.Photo,
    hole: Hole,
    *,
    options: FillOptions = FillOptions(),  # noqa: B008 (it is frozen)
    sample: int = 0,
    report: Callable[[str], None] = lambda note: None,
) -> FilledPhoto:
    """Fill `hole` [H, W], grown as `options` say, in windows; all else stays as the file has it.

    Samples differ where the model is stochastic. `report` is told at once what had to be changed
    and is in the notes afterwards: a precision that gave no numbers, a window that did not fit into
    memory.
    """
    device, precision = choose_runtime(model, options)
    grown = images.grow(hole, options.grow)
    if not grown.any():
        note = f"there is no hole in {photo.name}: it stays as it is"
        report(note)
        return FilledPhoto(photo, grown, (), precision, (note,))
    if grown.all():
        raise ImageError(
            f"the hole is all of {photo.name}: nothing is left to fill it from;"
            " if black marks the hole, say --mask-invert"
        )
    model.net.to(device)
    limit = options.window or model.sizes.window
    notes: list[str] = []
    while True:
        regions = plan_windows(grown, model.sizes, limit)
        windows = [window for region in regions for window in region.windows]
        attempt = Attempt(model, photo, hole, grown, options, sample, device, precision, limit)
        try:
            filled = photo.paste(attempt.patches(regions), opaque=options.alpha)
            return FilledPhoto(filled, grown, windows, precision, notes)
        except Unsound:
            if precision == "full":
                raise InpaintError(
                    f"{model.name} gave values that are no numbers; its weights may be damaged"
                ) from None
            notes.append(f"{precision} gave values that are no numbers: now in full precision")
            precision = "full"
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
            side = max(max(window.height, window.width) for window in windows)
            side = side if model.sizes.tiles else min(side, limit)
            limit = side // 2
            if limit < max(*model.sizes.fit(1, 1), SMALLEST):
                raise InpaintError(
                    f"a window of {side} pixels does not fit into the memory of {device};"
                    " try --device cpu, or close other programs"
                ) from None
            notes.append(f"a window of {side} pixels does not fit into memory: now {limit}")
        report(notes[-1])
        devices.release_memory(device)


@dataclass(frozen=True)
class FillResult:
    """What became of one photo: its file, or None for stdout, and how it was made."""

    output: Path | None
    seconds: float  # of filling alone
    precision: Precision
    windows: Sequence[Box]
    hole: int  # pixels
    drift: images.Drift | None
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"output": self.output and str(self.output)}


def fill_file(
    model: Model,
    photo: images.Photo,
    hole: Hole,
    output: Path | BinaryIO,
    *,
    options: FillOptions,
    sample: int = 0,
    overwrite: bool = False,
    verify: bool = False,
    report: Callable[[str], None] = lambda note: None,
) -> FillResult:
    """`fill_photo` into a file in the format of its suffix, or into a stream in the photo's own.

    `verify` reads a file again and reports what changed outside the hole. Raises `InpaintError`
    where that is a single pixel of a file in a lossless format.
    """
    start = perf_counter()
    filled = fill_photo(model, photo, hole, options=options, sample=sample, report=report)
    seconds, drift, path = perf_counter() - start, None, None
    if isinstance(output, Path):
        path, notes = output, images.write_photo(filled.photo, output, overwrite=overwrite)
    else:
        data, notes = images.encode(filled.photo)
        output.write(data)
    notes = [*notes]
    if verify and path:
        drift = images.verify(photo, path, filled.hole)
        if not drift.ok:
            raise InpaintError(
                f"{path} differs from {photo.name} in {drift.count} pixels outside the hole,"
                f" by up to {drift.largest:g}: do not use it, and report this"
            )
        notes.append(
            f"{path}: {drift.count} of {drift.outside} pixels outside the hole changed"
            + (f", by {drift.largest:g} at most, {drift.mean:.2g} on average" * bool(drift.count))
        )
    for note in notes:
        report(note)
    return FillResult(
        path,
        seconds,
        filled.precision,
        filled.windows,
        int(filled.hole.sum()),
        drift,
        (*filled.notes, *notes),
    )


def choose_runtime(model: Model, options: FillOptions) -> tuple[torch.device, Precision]:
    """Where `model` will run, and how exactly."""
    device = devices.choose_device(options.device)
    if device.type == "cpu":
        devices.keep_freed_memory()
    return device, devices.choose_precision(options.precision, model.precisions, device)


class Unsound(Exception):
    """A network gave NaN or infinity."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a photo: what every window of it depends on."""

    model: Model
    photo: images.Photo
    core: Hole
    hole: Hole
    options: FillOptions
    sample: int
    device: torch.device
    precision: Precision
    limit: int  # pixels a side of the windows

    def patches(self, regions: Sequence[Region]) -> Iterator[images.Patch]:
        """What to paste for each region."""
        for region in regions:
            box = region.box
            hole, filled = self.hole[box.slices], self.filled(region)
            if self.options.feather:
                share = images.feather(hole, self.options.feather, core=self.core[box.slices])
                old = self.photo.crop(box.top, box.left, box.height, box.width)
                filled = old + share[..., None] * (filled - old)
            yield images.Patch(box.top, box.left, filled, hole)

    def filled(self, region: Region) -> NDArray[np.float32]:
        """The region [h, w, 3].

        What is too large, and may not be cut into tiles, is filled at a reduced scale. In tiles,
        the hole is first filled at a reduced scale, in one window, so that each tile sees
        something all around what it owns, and its neighbours where they are done already.
        """
        box, hole = region.box, self.hole[region.box.slices]
        rgb = self.photo.crop(box.top, box.left, box.height, box.width)
        if not self.model.sizes.tiles and max(hole.shape) > self.limit:
            return self.sketched(rgb, hole, self.limit)
        if len(region.windows) == 1:
            return self.network(rgb, hole, box.top, box.left)
        filled = self.sketched(rgb, hole, max(max(w.height, w.width) for w in region.windows))
        for window, share in zip(region.windows, region.shares(), strict=True):
            at = window.within(box).slices
            part, mine = filled[at], hole[at] & (share > 0)
            new = self.network(part, mine, window.top, window.left)
            part += share[..., None] * (new - part)
        return filled

    def sketched(self, rgb: NDArray[np.float32], hole: Hole, side: int) -> NDArray[np.float32]:
        """`rgb` [H, W, 3] with its hole as the network fills it when shrunk to `side` pixels."""
        import cv2

        small, gone = shrink_visible(rgb, hole, side)
        if gone.any():
            small = self.network(small, gone, 0, 0)
        large = cv2.resize(small, hole.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return np.where(hole[..., None], large.clip(0, 1), rgb)

    def network(
        self, rgb: NDArray[np.float32], hole: Hole, top: int, left: int
    ) -> NDArray[np.float32]:
        """`rgb` [h, w, 3] with `hole` [h, w] filled; where it lies in the photo seeds chance."""
        image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].to(self.device)
        mask = torch.from_numpy(hole.astype(np.float32))[None, None].to(self.device)
        seed_torch(self.options.seed, self.sample, top, left)
        with devices.autocast(self.device, self.precision):
            out = fill_tensors(self.model.net, self.model.sizes, image, mask)
        if not out.isfinite().all():
            raise Unsound
        return out[0].permute(1, 2, 0).cpu().numpy()
