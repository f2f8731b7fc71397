"""Small ONNX files in the layouts of published networks, which paint the hole in one colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

UINT8, FLOAT = TensorProto.UINT8, TensorProto.FLOAT
Sides = Sequence[int | str]


def write_painter(
    path: Path,
    kind: int = FLOAT,
    *,
    hole: float = 1,
    colour: float = 0.5,
    scale: float = 1,
    sides: Sides = ("height", "width"),
    names: tuple[str, str] = ("image", "mask"),
    channels: tuple[int, int] = (3, 1),
    opset: int = 17,
    header: dict[str, str] | None = None,
) -> Path:
    """Write a file that gives `colour` where the mask is `hole`, elsewhere its photo * `scale`."""
    dtype = np.uint8 if kind == UINT8 else np.float32
    constants = [
        numpy_helper.from_array(np.array(value, dtype), name)
        for name, value in (("hole", hole), ("colour", colour), ("scale", scale))
    ]
    image, mask = names
    nodes = [
        helper.make_node("Equal", [mask, "hole"], ["inside"]),
        helper.make_node("Mul", [image, "scale"], ["scaled"]),
        helper.make_node("Where", ["inside", "colour", "scaled"], ["result"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, kind, [1, count, *sides])
        for name, count in zip(names, channels, strict=True)
    ]
    outputs = [helper.make_tensor_value_info("result", kind, [1, channels[0], *sides])]
    graph = helper.make_graph(nodes, "painter", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, header or {})
    onnx.save(model, path)
    return path


def write_migan(path: Path) -> Path:
    return write_painter(path, UINT8, hole=0, colour=200)


def write_lama(path: Path, side: int = 64) -> Path:
    return write_painter(path, hole=1, colour=200, scale=255, sides=(side, side))
