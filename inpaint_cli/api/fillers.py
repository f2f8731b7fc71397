"""The contract of fillers, which fill holes of arrays. Imports neither numpy nor torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .sizes import Sizes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Filler(ABC):
    """Fills a hole from what is visible around it.

    A plugin's class is made without arguments; what can be set has a default, as a field of a
    frozen dataclass. The first line of its docstring is what listings show, so its module should
    import what is heavy inside `fill`.
    """

    stochastic: ClassVar[bool] = False  # True: another `rng` gives another fill
    licence: ClassVar[str] = "Apache-2.0"  # of the code
    source: ClassVar[str] = ""  # the paper or the package it comes from
    citation: ClassVar[str] = ""  # that paper as BibTeX

    @property
    def sizes(self) -> Sizes:
        """The image sizes that `fill` takes."""
        return Sizes()

    @abstractmethod
    def fill(
        self, rgb: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return `rgb` [H, W, 3] in 0..1 with `hole` [H, W] filled.

        The pixels of the hole are 0 in `rgb`, which may be changed in place. The hole is neither
        empty nor everything. Of the result only the hole is used. The same arguments and the same
        state of `rng` give the same bits. Raises `MemoryError` where the image is too large, for
        which smaller windows are tried, and `Fallback` where another filler must begin again.
        """

    def explain(
        self, rgb: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> Sequence[tuple[Any, str]]:
        """Return pictures (Pillow's, or uint8 [H, W, 3]) with captions of how it fills `rgb`."""
        return []

    def describe(self) -> Mapping[str, str]:
        """Return what a report says of how it runs, such as its device and precision."""
        return {}


class Fallback(Exception):
    """The photo must be filled again by `filler`, because of `reason`, a sentence."""

    def __init__(self, filler: Filler, reason: str) -> None:
        super().__init__(reason)
        self.filler, self.reason = filler, reason
