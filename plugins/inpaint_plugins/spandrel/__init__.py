"""Published inpainting networks of other programs, recognised and rebuilt by spandrel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inpaint_cli.api import Format

if TYPE_CHECKING:
    from inpaint_cli.api import Foreign


class Spandrel(Format):
    """LaMa and whatever else spandrel knows that fills holes: .safetensors, .pth, .ckpt, .pt."""

    suffixes = (".safetensors", ".pth", ".pt", ".ckpt")

    @staticmethod
    def read(path: Path) -> Foreign:
        from .model import read_network

        return read_network(path)
