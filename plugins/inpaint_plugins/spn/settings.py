"""What can be chosen about the networks of this family; the defaults are the paper's."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from inpaint_cli.api import Settings


class SPNSettings(Settings):
    """The deterministic network: 50.6 M parameters."""

    width: PositiveInt = 64  # channels at full resolution; all others are multiples of it
    blocks: PositiveInt = 8  # SPADE blocks at a quarter of the size; table 4 has 4, 8 and 12
    dense_blocks: PositiveInt = 16  # in the trunk of the prior learner
    pyramid: bool = True  # False: priors at a quarter of the size only (table 3)
    spade: bool = True  # False: priors are concatenated with image features (section 4.4.1)
    slope: NonNegativeFloat = 0.0  # of the prior encoder's ReLUs below zero


class SPLSettings(SPNSettings):
    """The predecessor with priors at one scale: 45.6 M parameters."""

    pyramid: bool = False
    slope: NonNegativeFloat = 0.1


class SPNPSettings(SPNSettings):
    """The probabilistic network: 68.5 M parameters."""

    z: Literal["drawn", "mean"] = "drawn"  # "mean": always the same picture
