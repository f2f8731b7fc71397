"""Settings of the gated network and of its training."""

from pydantic import Field, NonNegativeFloat

from inpaint_cli.api import Settings


class GatedSettings(Settings):
    """The default is the paper's network."""

    width: int = Field(
        24,
        ge=1,
        le=1024,
        description="Channels of the first layer after gating; the deepest have 4 times as many.",
    )


class GatedTaskSettings(Settings):
    """Weights of the losses, all 1 in the paper, and the size of the critic."""

    coarse: NonNegativeFloat = Field(1.0, description="Weight of L1 of the coarse image.")
    refined: NonNegativeFloat = Field(1.0, description="Weight of L1 of the refined image.")
    adversarial: NonNegativeFloat = Field(
        1.0, description="Weight of the critic's score of the refined image; 0: no critic."
    )
    critic: int = Field(64, ge=1, le=1024, description="Channels of the critic's first layer.")
