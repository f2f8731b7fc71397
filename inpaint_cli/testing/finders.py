"""Check of a finder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.finders import Finder
from ..errors import InpaintError
from ..images.photo import to_bytes
from ..masks.find import make_finder
from .fillers import draw_example
from .sizes import AWKWARD_SIZES


def check_finder(
    name: str, settings: Mapping[str, Any] | None = None, photo: NDArray[np.uint8] | None = None
) -> None:
    """Check everything that `Finder` promises of the finder `name` with `settings`.

    A mask is boolean and of the photo's size, at awkward sizes too, the same each time, and the
    photo stays as it was. A photo that does not fit must raise `InpaintError`; `photo`
    [H, W, 3], for finders with settings that only some photos fit, must not.
    """
    finder = make_finder(name, settings or {})
    assert (type(finder).__doc__ or "").strip(), "a finder's docstring is its listing"
    assert finder.licence, "a finder says under which licence it is"
    assert 0 < finder.limit <= 1, f"a share of {finder.limit} is no limit"
    for key, field in type(finder).model_fields.items():
        assert field.description, f"the setting {key} has no description"
    for size in AWKWARD_SIZES:
        example = to_bytes(draw_example(size)[0])
        for rgb in (example, np.full_like(example, 90)):
            try:
                check_found(finder, rgb)
            except InpaintError:
                continue
    if photo is not None:
        check_found(finder, photo)


def check_found(finder: Finder, rgb: NDArray[np.uint8]) -> None:
    """Check the mask that `finder` makes of `rgb` [H, W, 3]."""
    before = rgb.copy()
    rgb.flags.writeable = False
    mask = finder.find(rgb, "photo.png")
    assert mask.shape == rgb.shape[:2], f"{mask.shape} is not {rgb.shape[:2]}"
    assert mask.dtype == np.bool_, f"a mask is boolean, not {mask.dtype}"
    assert np.array_equal(rgb, before), "the photo changed"
    assert np.array_equal(mask, finder.find(before, "photo.png")), "the same photo, another mask"
