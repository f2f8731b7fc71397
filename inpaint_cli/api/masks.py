"""What a plugin implements to add a mask generator. Numpy only: no torch."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from .settings import Settings


class Masks(Settings, ABC):
    """A family of masks; its fields are its settings in a recipe."""

    @abstractmethod
    def draw(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return a mask of shape [height, width], True where the hole is.

        The same settings, size and state of `rng` give the same mask on every machine.
        """
