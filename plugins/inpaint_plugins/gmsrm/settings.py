"""Settings of GM-SRM and of its training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeFloat, model_validator
from typing_extensions import Self

from inpaint_cli.api import Settings, Share, VGGSource

NetworkSize = Literal["full", "small", "tiny"]
PaddingMode = Literal["zeros", "reflect"]
PoolingOrder = Literal["after", "before"]


@dataclass(frozen=True)
class NetworkWidths:
    """Channels of each level, deepest first, and of the layers beside the levels."""

    encoder: Sequence[int]
    memory: Sequence[int]
    decoder: Sequence[int]
    code: int
    code_hidden: int
    moments_hidden: int
    head: int
    levels: int  # by default


NETWORK_WIDTHS: dict[NetworkSize, NetworkWidths] = {
    "full": NetworkWidths(
        encoder=(512, 512, 512, 256, 128, 64),
        memory=(512, 512, 512, 512, 256, 128, 64),
        decoder=(512, 512, 256, 128, 64, 64),
        code=512, code_hidden=128, moments_hidden=64, head=64, levels=7,
    ),
    "small": NetworkWidths(
        encoder=(256, 256, 256, 128, 64, 32),
        memory=(256, 256, 256, 256, 128, 64, 32),
        decoder=(256, 256, 128, 64, 32, 32),
        code=256, code_hidden=64, moments_hidden=32, head=32, levels=7,
    ),
    "tiny": NetworkWidths(
        encoder=(32, 32, 32, 16),
        memory=(32, 32, 32, 32, 16),
        decoder=(32, 32, 16, 16),
        code=64, code_hidden=16, moments_hidden=8, head=16, levels=5,
    ),
}  # fmt: skip


class GMSRMSettings(Settings):
    """The whole network; the switches are those of table IV: Base, GM-BM and GM-CSV lack some."""

    width: NetworkSize = Field(
        "full",
        description="Size of the network: full has 83.6 M parameters, small 20.9 M, tiny 0.4 M.",
    )
    levels: int | None = Field(
        None,
        ge=3,
        le=7,
        description="Number of levels: 7 for 256 pixels, 5 for 64; by default as many as `width` "
        "has.",
    )
    memory: bool = Field(True, description="Use the memory; without it, this is Base.")
    noise: Literal["conditional", "random", "none"] = Field(
        "conditional", description="Noise of the memory; GM-BM has random noise."
    )
    moments: Literal["scalar", "spatial"] = Field(
        "scalar", description="Mean and variance of conditional noise: one a level, or a map."
    )
    progressive: bool = Field(
        True, description="Update the code at each level; GM-BM and GM-CSV do not."
    )
    temperature: NonNegativeFloat = Field(
        1.0, description="Factor of conditional noise; 0: always the same fill."
    )
    padding: PaddingMode = Field("zeros", description="Padding of encoder, decoder and head.")
    attention: PoolingOrder = Field(
        "after", description="Pool for channel attention after the norm, as printed, or before it."
    )

    @model_validator(mode="after")
    def check_levels(self) -> Self:
        most = NETWORK_WIDTHS[self.width].levels
        if self.depth > most:
            raise ValueError(f"width '{self.width}' has no more than {most} levels")
        return self

    @property
    def depth(self) -> int:
        """The number of levels."""
        return self.levels or NETWORK_WIDTHS[self.width].levels

    @property
    def multiple(self) -> int:
        """The sides of an image are multiples of it: each level but one halves them."""
        return 2 ** (self.depth - 1)


class GMSRMTaskSettings(Settings):
    """Weights and forms of the losses; those of the memory's own training come last."""

    reconstruction: NonNegativeFloat = Field(1.0, description="Weight of L1.")
    hole: NonNegativeFloat = Field(
        10.0, description="Weight of a pixel in the hole (gamma), where a visible one has 1."
    )
    by_area: bool = Field(
        False, description="Average hole and visible pixels separately, not over the image."
    )
    perceptual: NonNegativeFloat = Field(0.1, description="Weight of L1 of VGG-19 features.")
    vgg: VGGSource = Field(
        "imagenet",
        description="Weights of VGG-19: published (imagenet), random, or none to leave out its "
        "loss.",
    )
    adversarial: NonNegativeFloat = Field(0.01, description="Weight of the critic's score.")
    gan: Literal["hinge", "linear"] = Field("hinge", description="Loss of the critic.")
    divergence: NonNegativeFloat = Field(
        0.01, description="Weight of the divergence of conditional noise from N(0, 1)."
    )
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
    critic_sees_mask: bool = Field(False, description="Show the mask to the critic.")

    memory_sees: Literal["visible", "image"] = Field(
        "visible", description="Image that the memory is trained to reproduce from."
    )
    r1: NonNegativeFloat = Field(10.0, description="Weight (gamma) of R1; 0 leaves it out.")
    r1_every: int = Field(16, ge=1, le=1_000_000, description="Steps between two of R1.")
    path: NonNegativeFloat = Field(
        2.0, description="Weight of path length regularisation; 0 leaves it out."
    )
    path_every: int = Field(
        4, ge=1, le=1_000_000, description="Steps between two of path length regularisation."
    )
    drop: Share = Field(
        0.0, description="Share of images for which the memory sees the code without features."
    )
    visible: NonNegativeFloat = Field(0.0, description="Weight of L1 at visible pixels.")
