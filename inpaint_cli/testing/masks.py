"""Check of a mask generator."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import registry
from ..api.masks import Masks


def check_masks(name: str, settings: Mapping[str, Any] | None = None) -> None:
    """Check that the generator `name` draws masks of the size asked for, from its seed alone."""
    masks: Masks = registry.load_plugin("masks", name).model_validate(settings or {})
    for height, width in ((64, 64), (64, 128), (96, 48)):
        mask = masks.draw(height, width, np.random.default_rng(1))
        assert mask.shape == (height, width), f"{mask.shape} is not {(height, width)}"
        assert mask.dtype == np.bool_, f"a mask is boolean, not {mask.dtype}"
        again = masks.draw(height, width, np.random.default_rng(1))
        assert np.array_equal(mask, again), "the same generator state gives another mask"
        assert masks.accepts(mask), "a mask has a hole, and keeps `ratio` and `border`"
