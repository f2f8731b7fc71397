"""The contract of formats, which read weights files of other programs. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from .architectures import Precision, Sizes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from .fillers import Filler


@dataclass(frozen=True)
class Foreign:
    """A network from another program's file, ready to be called as net(visible, mask)."""

    name: str  # of the network, for the user: "LaMa"
    net: nn.Module
    sizes: Sizes
    precisions: tuple[Precision, ...] = ("full",)


@dataclass(frozen=True)
class ForeignFiller:
    """A filler from another program's file, which needs no torch.

    `make` returns it for a device as `--device` names it: "auto", "cpu", "cuda:1". It raises
    `WeightsError` where the file fills no holes, `InpaintError` where there is no such device.
    """

    name: str
    make: Callable[[str], Filler]
    header: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """Reads weights files without our header. Nothing in such a file may be executed."""

    suffixes: ClassVar[Sequence[str]] = ()  # of the files that it reads; empty: any

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Foreign | ForeignFiller:
        """Return what is in the file at `path`; raise `WeightsError` if it fills no holes."""
