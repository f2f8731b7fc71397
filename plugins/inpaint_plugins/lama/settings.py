"""Settings of LaMa and of its training."""

from pydantic import Field, NonNegativeFloat, model_validator
from typing_extensions import Self

from inpaint_cli.api import Settings, VGGSource


class LaMaSettings(Settings):
    """The defaults are Big LaMa, 51 M parameters; with 9 blocks it is LaMa-Fourier, 27 M."""

    width: int = Field(
        64,
        ge=1,
        le=1024,
        description="Channels of the first layer, doubled by each downsampling.",
    )
    blocks: int = Field(
        18, ge=1, le=256, description="Residual blocks of two Fourier convolutions each."
    )
    downsamplings: int = Field(
        3, ge=1, le=8, description="Strided convolutions; each halves the size."
    )
    ratio: float = Field(
        0.75, gt=0, lt=1, description="Share of channels that are global, between 0 and 1."
    )

    @model_validator(mode="after")
    def check_channels(self) -> Self:
        if int(self.ratio * self.width * 2**self.downsamplings) < 2:
            raise ValueError("ratio times width times 2^downsamplings must be 2 or more")
        return self


class LaMaTaskSettings(Settings):
    """Weights of the losses, and the size of the critic."""

    visible: NonNegativeFloat = Field(10.0, description="Weight of L1 at visible pixels.")
    hole: NonNegativeFloat = Field(0.0, description="Weight of L1 in the hole; the paper has 0.")
    adversarial: NonNegativeFloat = Field(10.0, description="Weight of the critic's score.")
    feature_matching: NonNegativeFloat = Field(
        100.0, description="Weight of the distance of the critic's features."
    )
    perceptual: NonNegativeFloat = Field(1.0, description="Weight of L1 of VGG-16 features.")
    r1: NonNegativeFloat = Field(0.001, description="Weight of the critic's gradient penalty.")
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
    critic_layers: int = Field(4, ge=1, le=8, description="Strided layers of the critic.")
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-16: published (imagenet), random, or none to leave out its "
        "loss.",
    )
