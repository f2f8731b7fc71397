"""Settings of the Gaussian of aligned pictures and of its training."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from typing_extensions import Self

from inpaint_cli.api import Settings, VGGSource


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


class PortraitSettings(GaussianSettings):
    """Those of `gaussian`, and of the network that adds detail: 7.9 million parameters."""

    canvas: int = Field(
        256,
        ge=32,
        le=4096,
        multiple_of=32,
        description="Most pixels a side of the picture to which detail is added.",
    )
    detail_width: int = Field(
        32,
        ge=1,
        le=1024,
        description="Channels of the first level of the network of the detail.",
    )
    detail_levels: int = Field(
        3, ge=1, le=4, description="Levels below the first, each half the size of the one above."
    )
    detail_blocks: int = Field(
        6, ge=1, le=256, description="Blocks of two Fourier convolutions at the lowest level."
    )


class PortraitTaskSettings(GaussianTaskSettings):
    """Those of `gaussian`, and of the stage of the detail."""

    zoom: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.5, 1.6), description="Range of the size of a face, as a share of the picture's."
    )
    pixels: NonNegativeFloat = Field(5.0, description="Weight of L1 in the hole.")
    structure: NonNegativeFloat = Field(
        1.0, description="Weight of contrast and structure at several scales, as in SSIM."
    )
    adversarial: NonNegativeFloat = Field(0.3, description="Weight of the critic's score.")
    feature_matching: NonNegativeFloat = Field(
        10.0, description="Weight of the distance of the critic's features."
    )
    perceptual: NonNegativeFloat = Field(0.0, description="Weight of L1 of VGG-16 features.")
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-16, where `perceptual` is not 0: published (imagenet), random, "
        "or none.",
    )
    r1: NonNegativeFloat = Field(1.0, description="Gamma of the critic's gradient penalty.")
    r1_every: int = Field(16, ge=1, le=1_000_000, description="Steps between two penalties.")
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
