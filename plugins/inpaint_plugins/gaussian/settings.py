"""Settings of the Gaussian of aligned pictures and of its training."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from typing_extensions import Self

from inpaint_cli.api import Settings


class GaussianSettings(Settings):
    """Sizes of the Gaussian and of the network that refines what it expects."""

    side: int = Field(
        32, ge=4, le=64, multiple_of=4, description="Cells a side of the Gaussian's picture."
    )
    noise: PositiveFloat = Field(
        2e-3,
        description="Initial variance of a cell's colours (0..1) that the Gaussian does not "
        "explain.",
    )
    sight: int = Field(128, ge=1, le=1024, description="Pixels a side of the network's picture.")
    fold: int = Field(
        4,
        ge=1,
        le=16,
        description="Pixels a side of the squares that become the channels of one place.",
    )
    width: int = Field(
        64,
        ge=0,
        le=1024,
        description="Channels of the network's first level, doubled at each next; 0: no network.",
    )
    widest: int = Field(256, ge=1, le=4096, description="Most channels of any level.")
    levels: int = Field(
        4, ge=1, le=8, description="Levels of the network, each half the size of the one before."
    )

    @model_validator(mode="after")
    def check_sight(self) -> Self:
        step = self.fold * 2 ** (self.levels - 1)
        if self.width and self.sight % step:
            raise ValueError(f"sight must be a multiple of {step} (fold times 2^(levels - 1))")
        return self


class GaussianTaskSettings(Settings):
    """Weights of the losses, and how often the noise is updated."""

    fills: int = Field(
        16,
        ge=1,
        le=1_000_000,
        description="Images of a batch that the noise is learned from, at most.",
    )
    every: int = Field(
        10, ge=1, le=1_000_000, description="Steps of `count` between two updates of the noise."
    )
    hole: NonNegativeFloat = Field(
        0.1, description="Weight of the log of the mean squared error in the hole."
    )
    visible: NonNegativeFloat = Field(
        0.3, description="Weight of the mean squared error at visible pixels."
    )
