"""A sheet of what a network makes of a photo; which pictures tell that is the architecture's."""

from pathlib import Path

import torch

from .. import images, registry
from ..api.architectures import Architecture
from ..errors import InpaintError
from ..files.write import atomic_path
from ..models.weights import Model
from ..reports import contact_sheet as sheets
from ..runtime import devices
from ..runtime.seed import seed_torch
from .fill import choose_runtime, pad_to_size, shrink_visible
from .hole import find_hole
from .options import FillOptions
from .windows import plan_windows


def explain_fill(
    model: Model, photo: Path, mask: Path | None, page: Path, *, options: FillOptions
) -> None:
    """Write to `page` the pictures of `Architecture.explain`, of the largest window of `photo`.

    Raises `InpaintError` where there is no hole, or the architecture has nothing to show.
    """
    source = images.read_photo(photo)
    hole = images.grow(find_hole(source, mask, options).hole, options.grow)
    windows = [
        w for region in plan_windows(hole, model.sizes, options.window) for w in region.windows
    ]
    if not windows:
        raise InpaintError(f"there is no hole in {photo}, so there is nothing to explain")
    box = max(windows, key=lambda window: window.height * window.width)
    device, precision = choose_runtime(model, options)
    rgb, hole = source.crop(box.top, box.left, box.height, box.width), hole[box.slices]
    limit = options.window or model.sizes.window
    if not model.sizes.tiles and max(hole.shape) > limit:
        rgb, hole = shrink_visible(rgb, hole, limit)
    image = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].to(device)
    part = torch.from_numpy(hole.copy())[None, None].to(image)
    visible, area = (pad_to_size(t, model.sizes) for t in (image * (1 - part), part))
    rows = []
    if model.name in registry.find_plugins("architectures"):
        architecture: type[Architecture] = registry.load_plugin("architectures", model.name)
        model.net.to(device)
        seed_torch(options.seed, 0, box.top, box.left)  # as the first filling
        with torch.inference_mode(), devices.autocast(device, precision):
            rows = architecture.explain(model.net, visible, area)
    if not rows:
        raise InpaintError(f"{model.name} has no pictures of how it fills; try another model")
    shown = sheets.overlay_hole(images.to_bytes(rgb), hole)
    with atomic_path(page) as temporary:
        sheets.contact_sheet([[(shown, photo.name), *rows]]).save(temporary)
