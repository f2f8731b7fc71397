"""Fill one photo, from Python and from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import images
from ..models.choose import LoadedModel, ModelRef, load_model
from .fill import (
    Filled,
    Notify,
    Progress,
    describe_run,
    fill_photo,
    ignore,
    ignore_progress,
)
from .hole import mark_photo
from .options import FillSettings, check_marked, split_settings

Model = str | Path | ModelRef | LoadedModel | None


def fill(
    photo: Any,
    mask: Any = None,
    *,
    model: Model = None,
    regions: Sequence[tuple[int, int, int, int]] = (),
    extend: Sequence[int | str] = (),
    find: Sequence[str] = (),
    find_limit: float | None = None,
    grow: int = 0,
    feather: int = 0,
    threshold: int | None = None,
    invert: bool = False,
    resize: bool = False,
    seed: int = 0,
    sample: int = 0,
    device: str = "auto",
    precision: str = "auto",
    window: int | None = None,
    notify: Notify = ignore,
    progress: Progress = ignore_progress,
) -> Filled:
    """Fill the hole of a photo; nothing outside the hole changes.

    `photo` is a path, a Pillow picture, or an array [H, W], [H, W, 3] or [H, W, 4] of uint8,
    uint16 or floats in 0..1. `mask` is one too, white or True in the hole, or "alpha": the hole is
    where the photo is transparent. The result gives the filled photo as `.array`, `.image`, or by
    `.save(path)`; arrays keep their shape and type.

    Args:
        model: a name that `inpaint models` lists, the path of a weights file, or what
            `load_model` returned, which is loaded once for many photos; "auto" chooses by the photo
            and the hole. Default: patchmatch.
        regions: rectangles (x, y, width, height) in pixels that are hole too.
        extend: (left, top, right, bottom), by which the canvas grows: pixels, or "10%" of the
            photo's width or height. The margin is filled too; it needs no mask. Masks, regions
            and finders are of the photo as it was.
        find: finders whose masks are added, with their settings: "text",
            "color:value=#ff8c1e,tolerance=15"; see `list_finders`.
        find_limit: share of the photo, above 0 and up to 1, above which what a finder found is
            refused; default: what the finder says.
        grow: pixels by which the hole grows on all sides; negative shrinks it.
        feather: pixels over which the fill fades in, inside the band that `grow` adds (by
            default as many).
        threshold: level of the mask, 1 to 255, from which it is hole. Default: 128, or the upper
            one of two levels; what cannot be a mask is refused then. With "alpha" the opacity
            below which it is hole; default: 255, all that is not opaque.
        invert: black marks the hole.
        resize: resize a mask of the same proportions to the photo.
        seed: the same seed gives the same picture.
        sample: another number gives another fill, of models that draw at random.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps", for networks.
        precision: "auto", "full", "bf16" or "fp16", for networks.
        window: pixels a side at most that the model sees at once.
        notify: called with sentences about what is not as expected.
        progress: called after each window with the number of those filled, and of all.

    Raises:
        InpaintError: the photo, the mask or the model is not as it should be; the message says
            what to do.

    >>> import numpy as np
    >>> photo = np.full((40, 60, 3), 90, np.uint8)
    >>> photo[10:14, 20:40] = 255  # a scratch
    >>> fill(photo, mask=photo[..., 0] == 255, model="ns").array[12, 30].tolist()
    [90, 90, 90]
    """
    settings: FillSettings = {
        "regions": regions,
        "extend": extend,
        "find": find,
        "find_limit": find_limit,
        "grow": grow,
        "feather": feather,
        "threshold": threshold,
        "invert": invert,
        "resize": resize,
        "seed": seed,
        "device": device,
        "precision": precision,
        "window": window,
    }
    alpha = isinstance(mask, str) and mask == "alpha"
    check_marked(mask, settings)
    hole_options, run = split_settings(alpha, settings)
    source = photo if isinstance(photo, images.Photo) else images.to_photo(photo)
    if alpha:
        mask = None
    elif isinstance(mask, str):
        mask = Path(mask)
    elif not isinstance(mask, Path | images.ReadMask | None):
        mask = images.to_mask(mask, threshold=threshold, invert=invert)
    source, hole = mark_photo(source, mask, hole_options)
    loaded = load_model(model, device=device, precision=precision)
    notify(describe_run(loaded))
    for note in (*loaded.notes, *source.notes, *hole.notes, *hole.describe_finds(source.name)):
        notify(note)
    return fill_photo(
        loaded, source, hole, run=run, sample=sample, notify=notify, progress=progress
    )
