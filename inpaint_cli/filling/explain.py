"""A sheet of what a network makes of a photo; which pictures tell that is the architecture's."""

from pathlib import Path

import torch

from .. import images, registry
from ..api.architectures import Architecture
from ..errors import InpaintError
from ..files.write import replacing
from ..models.weights import Model
from ..reports import contact_sheet as sheets
from ..runtime import devices
from ..runtime.seed import seed
from .fill import extended, setup, shrunk
from .hole import hole_of
from .options import Options
from .windows import plan


def explain(model: Model, photo: Path, mask: Path | None, page: Path, *, options: Options) -> None:
    """Write to `page` the pictures of `Architecture.explain`, of the largest window of `photo`.

    Raises `InpaintError` where there is no hole, or the architecture has nothing to show.
    """
    source = images.read_photo(photo)
    hole = images.grow(hole_of(source, mask, options).hole, options.grow)
    windows = [w for region in plan(hole, model.sizes, options.window) for w in region.windows]
    if not windows:
        raise InpaintError(f"there is no hole in {photo}, so there is nothing to explain")
    box = max(windows, key=lambda window: window.height * window.width)
    device, precision = setup(model, options)
    rgb, hole = source.crop(box.top, box.left, box.height, box.width), hole[box.slices]
    limit = options.window or model.sizes.window
    if not model.sizes.tiles and max(hole.shape) > limit:
        rgb, hole = shrunk(rgb, hole, limit)
    image = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].to(device)
    part = torch.from_numpy(hole.copy())[None, None].to(image)
    visible, area = (extended(t, model.sizes) for t in (image * (1 - part), part))
    rows = []
    if model.name in registry.found("architectures"):
        architecture: type[Architecture] = registry.load("architectures", model.name)
        model.net.to(device)
        seed(options.seed, 0, box.top, box.left)  # as the first filling
        with torch.inference_mode(), devices.autocast(device, precision):
            rows = architecture.explain(model.net, visible, area)
    if not rows:
        raise InpaintError(f"{model.name} has no pictures of how it fills; try another model")
    shown = sheets.overlay(images.in_bytes(rgb), hole)
    with replacing(page) as temporary:
        sheets.sheet([[(shown, photo.name), *rows]]).save(temporary)
