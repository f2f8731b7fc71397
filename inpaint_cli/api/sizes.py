"""The sizes that a filler takes, and the surroundings that it needs. Pure arithmetic."""

from dataclasses import dataclass

WHOLE_PHOTO = 2**20  # as context: all of any photo


@dataclass(frozen=True)
class Sizes:
    """The image sizes that a filler takes, and the surroundings of a hole that it needs.

    Images are padded to the next size that fits, and the result is cropped. A large photo is
    filled in windows of at most `window` pixels a side, cut around the hole with `context` pixels
    or more of the photo on every side. A hole too large for one window is cut into `tiles`; a
    network that must see all of it, such as one that looks for a face, says False, and is shown
    everything at once, shrunk to `window`. A large hole gets more context, unless the filler is
    `local`: its result depends on nothing beyond `context`.

    >>> Sizes(multiple=8, minimum=16).fit(37, 5)
    (40, 16)
    """

    multiple: int = 1
    minimum: int = 1
    square: bool = False
    window: int = 512
    context: int = 64
    tiles: bool = True
    local: bool = False

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Return the smallest size (height, width) that holds the given one and can be taken."""
        if self.square:
            height = width = max(height, width)
        step = self.multiple
        return (
            -(-max(height, self.minimum) // step) * step,
            -(-max(width, self.minimum) // step) * step,
        )
