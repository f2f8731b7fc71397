"""What has a colour."""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from inpaint_cli.api import Finder, Mask, grow

STRIP = 512  # rows at a time


def check_color(value: str) -> str:
    from PIL import ImageColor

    if value.count(",") == 2 and "(" not in value:
        value = f"rgb({value})"
    ImageColor.getrgb(value)  # raises `ValueError` where it is no colour
    return value


class Color(Finder):
    """What is like a colour: date stamps, painted strokes, plain backgrounds."""

    value: Annotated[str, AfterValidator(check_color)] = Field(
        description="The colour: #rrggbb, r,g,b in 0 to 255, or a name such as orange."
    )
    tolerance: float = Field(
        default=20,
        ge=0,
        description="Largest difference in CIELAB (1976), where 2 can just be seen and black and"
        " white are 100 apart.",
    )
    grow: int = Field(default=1, ge=0, le=100, description="Pixels added for the soft edge.")

    def find(self, rgb, name) -> Mask:
        import cv2
        from PIL import ImageColor

        wanted = np.array(ImageColor.getrgb(self.value)[:3], np.float32)[None, None] / 255
        lab = cv2.cvtColor(wanted, cv2.COLOR_RGB2Lab)[0, 0]
        mask = np.empty(rgb.shape[:2], np.bool_)
        for top in range(0, len(rgb), STRIP):
            part = rgb[top : top + STRIP].astype(np.float32) / 255
            far = cv2.cvtColor(part, cv2.COLOR_RGB2Lab) - lab
            mask[top : top + STRIP] = np.einsum("ijk,ijk->ij", far, far) <= self.tolerance**2
        return grow(mask, self.grow)
