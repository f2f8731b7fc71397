"""What a plugin implements to read weights files that other programs wrote."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from .architectures import Precision, Sizes


@dataclass(frozen=True)
class Foreign:
    """A network that somebody else's file holds, ready to be called net(visible, mask)."""

    name: str  # what the file holds, for a person: "LaMa"
    net: nn.Module
    sizes: Sizes
    precisions: tuple[Precision, ...] = ("full",)


class Format(ABC):
    """Reads weights files without our header. Nothing in such a file may be executed."""

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Foreign:
        """Return the network in the file at `path`; raise `WeightsError` where there is none."""
