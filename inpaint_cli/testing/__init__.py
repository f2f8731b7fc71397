"""Checks of the promises of each kind of plugin, for the tests of plugins.

    from inpaint_cli.testing import check_architecture

    def test_blur_keeps_every_promise():
        check_architecture("blur", model={"width": 4})

Each check loads an installed plugin by its name, and raises `AssertionError` with a sentence that
names the broken promise. The built-in plugins pass the same checks.
"""

from ..lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        ".architectures": "check_architecture",
        ".datasets": "check_dataset check_images",
        ".fillers": "check_filler",
        ".finders": "check_finder",
        ".formats": "check_format",
        ".masks": "check_masks",
        ".metrics": "check_metric",
    },
)
