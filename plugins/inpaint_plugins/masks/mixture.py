"""Several generators as one."""

import numpy as np
from pydantic import Field, NonNegativeFloat, SerializeAsAny, model_validator
from typing_extensions import Self

from inpaint_cli.api import Mask, Masks

from .irregular import IrregularMasks
from .shapes import BoxMasks


class MixtureMasks(Masks):
    """A random one of several generators for each mask."""

    of: tuple[SerializeAsAny[Masks], ...] = Field(
        default=(IrregularMasks(kind="irregular"), BoxMasks(kind="boxes")),
        min_length=1,
        description="Generators, each with its settings: {kind: NAME, ...}.",
    )
    weights: tuple[NonNegativeFloat, ...] = Field(
        default=(), description="Weight of each generator in `of`; empty: all equal."
    )

    @model_validator(mode="after")
    def matching(self) -> Self:
        if self.weights and (len(self.weights) != len(self.of) or not any(self.weights)):
            raise ValueError("give one weight for each generator in 'of', at least one above 0")
        return self

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        ends = np.cumsum(self.weights or np.ones(len(self.of)))
        chosen = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        return self.of[chosen].draw(height, width, rng)
