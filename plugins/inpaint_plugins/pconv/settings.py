"""Settings of the U-Net of partial convolutions; those of its task are `IrregularWeights`."""

from pydantic import Field

from inpaint_cli.api import Settings


class PConvSettings(Settings):
    """The defaults have a bottleneck of 2 x 2 at 256 pixels; the paper has 8 levels at 512."""

    levels: int = Field(
        7,
        ge=1,
        le=12,
        description="Number of levels, each half the size of the one before; the sides of an image "
        "are padded to multiples of 2 to this power.",
    )
    width: int = Field(
        64,
        ge=1,
        le=1024,
        description="Channels of the first level, doubled at each next, at most 8 times.",
    )
