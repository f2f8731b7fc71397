"""How many pixels a picture may have: a header that claims more is refused before it is decoded."""

import os

from ..errors import ImageError

MAX_PIXELS = 500_000_000  # INPAINT_MAX_PIXELS raises it


def max_pixels() -> int:
    """Return the bound, or what INPAINT_MAX_PIXELS says. Raises `ImageError` where that is none."""
    try:
        return int(os.environ.get("INPAINT_MAX_PIXELS", MAX_PIXELS))
    except ValueError as error:
        raise ImageError("INPAINT_MAX_PIXELS is not a whole number") from error


def check_pixels(name: str, width: int, height: int) -> None:
    """Raise `ImageError` where a header claims more than is ever decoded."""
    if width * height > max_pixels():
        raise ImageError(
            f"{name} claims {width}x{height} ({width * height / 1e6:.0f} MP), more than"
            f" {max_pixels() / 1e6:.0f} MP; if it is real, set INPAINT_MAX_PIXELS higher"
        )
