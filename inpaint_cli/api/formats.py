"""The contract of formats, which read weights files of other programs. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .architectures import Precision, Sizes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True)
class Foreign:
    """A network from another program's file, ready to be called as net(visible, mask)."""

    name: str  # of the network, for the user: "LaMa"
    net: nn.Module
    sizes: Sizes
    precisions: tuple[Precision, ...] = ("full",)


class Format(ABC):
    """Reads weights files without our header. Nothing in such a file may be executed."""

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Foreign:
        """Return the network in the file at `path`; raise `WeightsError` if there is none."""
