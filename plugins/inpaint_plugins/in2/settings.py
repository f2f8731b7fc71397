"""Settings of IN2 and of its training."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, model_validator
from typing_extensions import Self

from inpaint_cli.api import Settings, VGGSource

Interpolation = Literal["implicit", "bilinear"]
Coordinates = Literal["anchored", "normalised"]


class IN2Settings(Settings):
    """The defaults are the paper's network; `rows` and `tile` change memory and speed only."""

    width: int = Field(
        64,
        ge=1,
        le=512,
        description="Channels after the first halving, doubled at each of the next two.",
    )
    dpb: bool = Field(
        True,
        description="Use downsample processing blocks; otherwise an enlarged encoder like LaMa's "
        "(table 7).",
    )
    attention: bool = Field(
        True, description="Use attention; otherwise Fourier convolutions in its place (table 7)."
    )
    pyramid: bool = Field(True, description="Decode level by level; otherwise in one (table 7).")
    fourier_blocks: int = Field(
        1, ge=0, le=16, description="Fourier blocks in each block of the encoder."
    )
    ratio: float = Field(
        0.75, gt=0, lt=1, description="Share of channels that are global, between 0 and 1."
    )
    downsampling: Literal[3, 4] = Field(4, description="Kernel of the strided convolutions.")
    groups: int = Field(2, ge=1, le=64, description="Groups of attention blocks.")
    depth: int = Field(4, ge=1, le=64, description="Attention blocks in a group.")
    heads: int = Field(
        8, ge=1, le=256, description="Attention heads; 4 times the width must be a multiple."
    )
    kernel: int = Field(
        7, ge=1, le=63, description="Side of the neighbourhood that attention sees, in features."
    )
    bias: bool = Field(
        True,
        description="Learn a bias for each relative position; the package natten is used only "
        "without it.",
    )
    mlp: int = Field(
        4, ge=1, le=64, description="Hidden channels of the MLPs, as a multiple of their inputs."
    )
    alpha: NonNegativeFloat = Field(
        0.03, description="Weight of channel attention (eq. 1); 0 leaves it out."
    )
    residual: bool = Field(
        True, description="Add the input of attention to its output, as HAT does; eq. 1 does not."
    )
    compress: int = Field(
        2, ge=1, le=1024, description="Factor by which channel attention reduces its channels."
    )
    form: Interpolation = Field(
        "implicit", description="Interpolation of features; bilinear is for comparison."
    )
    grid: Coordinates = Field(
        "anchored",
        description="Coordinates of the decoder; normalised ones, as in the paper, drift at odd "
        "sizes.",
    )
    rows: int = Field(
        32,
        ge=1,
        le=100_000,
        description="Rows of the picture decoded at a time; fewer need less memory.",
    )
    tile: int = Field(8, ge=1, le=64, description="Queries a side of a tile of attention.")

    @model_validator(mode="after")
    def check_channels(self) -> Self:
        if int(self.ratio * self.width) < 2:
            raise ValueError("ratio times width must be 2 or more")
        if self.attention and 4 * self.width % self.heads:
            raise ValueError("4 times width must be a multiple of heads")
        return self


class IN2TaskSettings(Settings):
    """Weights of the losses, and the size of the critic."""

    adversarial: NonNegativeFloat = Field(1.0, description="Weight of the critic's score.")
    perceptual: NonNegativeFloat = Field(10.0, description="Weight of L1 of VGG-19 features.")
    feature_matching: NonNegativeFloat = Field(
        0.1, description="Weight of the distance of the critic's features."
    )
    r1: NonNegativeFloat = Field(10.0, description="Weight of the critic's gradient penalty.")
    pixels: NonNegativeFloat = Field(
        0.0, description="Weight of L1 in the hole; the paper has none."
    )
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-19: published (imagenet), random, or none to leave out its "
        "loss.",
    )
