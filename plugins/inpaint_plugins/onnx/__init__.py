"""Networks as ONNX files, run by onnxruntime without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inpaint_cli.api import Format

if TYPE_CHECKING:
    from inpaint_cli.api import ForeignFiller


class Onnx(Format):
    """ONNX files of MI-GAN, of LaMa, and of `inpaint weights export --onnx`: no torch is needed."""

    suffixes = (".onnx",)

    @staticmethod
    def read(path: Path) -> ForeignFiller:
        from .filler import read_onnx

        return read_onnx(path)
