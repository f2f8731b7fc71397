"""Checks of the promises of each kind of plugin, for the tests of plugins.

    from inpaint_cli.testing import check_architecture

    def test_blur_keeps_every_promise():
        check_architecture("blur", model={"width": 4})

Each check loads an installed plugin by its name, and raises `AssertionError` with a sentence that
names the broken promise. The built-in plugins pass the same checks.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .architectures import check_architecture as check_architecture
    from .datasets import check_dataset as check_dataset
    from .datasets import check_images as check_images
    from .fillers import check_filler as check_filler
    from .formats import check_format as check_format
    from .masks import check_masks as check_masks
    from .metrics import check_metric as check_metric

__getattr__, __all__ = lazy_names(
    __name__,
    {
        ".architectures": "check_architecture",
        ".datasets": "check_dataset check_images",
        ".fillers": "check_filler",
        ".formats": "check_format",
        ".masks": "check_masks",
        ".metrics": "check_metric",
    },
)
