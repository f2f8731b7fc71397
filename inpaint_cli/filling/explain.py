"""A sheet of what a network makes of a photo; the architecture chooses the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import images
from ..errors import InpaintError
from ..files.write import atomic_path, check_free
from ..models.choose import LoadedModel, ModelRef, load_model
from ..reports.contact_sheet import contact_sheet, overlay_hole
from .fill import shrink_visible
from .hole import mark_photo
from .options import FillSettings, split_mask, split_settings
from .windows import plan_windows

if TYPE_CHECKING:
    from typing_extensions import Unpack


def explain_fill(
    photo: str | Path,
    mask: str | Path | None,
    page: str | Path,
    *,
    model: str | Path | ModelRef | LoadedModel | None = None,
    overwrite: bool = False,
    **settings: Unpack[FillSettings],
) -> Path:
    """Write to `page` pictures of how a model fills the largest window of `photo`; return it.

    `settings` are the other keywords of `fill`. Raises `InpaintError` where there is no hole, or
    the model has nothing to show.
    """
    photo, page = Path(photo), Path(page)
    check_free(page, overwrite=overwrite)
    path, alpha = split_mask(mask)
    hole_options, run = split_settings(alpha, settings)
    source, marked = mark_photo(images.read_photo(photo), path, hole_options)
    area = marked.area
    loaded = load_model(model, device=run.device, precision=run.precision)
    sizes = loaded.filler.sizes
    windows = [w for region in plan_windows(area, sizes, run.window) for w in region.windows]
    if not windows:
        raise InpaintError(f"there is no hole in {photo}, so there is nothing to explain")
    box = max(windows, key=lambda window: window.height * window.width)
    rgb = source.crop(box.top, box.left, box.height, box.width)
    hole = area[box.slices] | source.hidden(*box.slices)
    limit = run.window or sizes.window
    if not sizes.tiles and max(hole.shape) > limit:
        rgb, hole = shrink_visible(rgb, hole, limit)
    rng = np.random.default_rng((run.seed, 0, box.top, box.left))  # as the first fill
    rows = loaded.filler.explain(rgb, hole, rng)
    if not rows:
        raise InpaintError(f"{loaded.name} has no pictures of how it fills; try another model")
    shown = overlay_hole(images.to_bytes(rgb), hole)
    with atomic_path(page) as temporary:
        contact_sheet([[(shown, photo.name), *rows]]).save(temporary)
    return page
