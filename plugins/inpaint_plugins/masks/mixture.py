"""Several generators as one."""

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, SerializeAsAny, model_validator
from typing_extensions import Self

from inpaint_cli.api import Mask, Masks

from .irregular import Irregular
from .shapes import Boxes


class Mixture(Masks):
    """One of several generators, drawn anew for each mask, as often as its weight says."""

    of: Annotated[tuple[SerializeAsAny[Masks], ...], Field(min_length=1)] = (
        Irregular(kind="irregular"),
        Boxes(kind="boxes"),
    )
    weights: tuple[NonNegativeFloat, ...] = ()  # one for each of `of`; none: all equal

    @model_validator(mode="after")
    def matching(self) -> Self:
        if self.weights and (len(self.weights) != len(self.of) or not any(self.weights)):
            raise ValueError("give one weight for each generator in 'of', not all of them 0")
        return self

    def sketch(self, height: int, width: int, rng: np.random.Generator) -> Mask:
        ends = np.cumsum(self.weights or np.ones(len(self.of)))
        chosen = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        return self.of[chosen].draw(height, width, rng)
