"""Fillers of ONNX files: which networks are known, and how each is given a photo and its hole.

Files are recognised by the names and types of their inputs. A file is data for onnxruntime's own
operators: nothing in it is executed otherwise, and it cannot name other files.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inpaint_cli.api import Filler, ForeignFiller, InpaintError, Sizes, WeightsError

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS = {  # by the names of devices elsewhere in the program
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
}
LOG_ERRORS = 3


@dataclass(frozen=True)
class Layout:
    """How a family of files takes a photo [1, 3, H, W] with a mask [1, 1, H, W]."""

    name: str
    inputs: tuple[str, str]  # the photo and the mask
    kind: str  # of both: "uint8" or "float32"
    hole: int  # in the mask, and what is not the hole:
    visible: int
    white_in: int
    white_out: int
    sizes: Sizes  # where neither the file's inputs nor its header say more


LAYOUTS = (
    Layout("ours", ("visible", "mask"), "float32", 1, 0, 1, 1, Sizes()),
    Layout(  # crops the hole and works at 512 by itself
        "MI-GAN",
        ("image", "mask"),
        "uint8",
        0,
        255,
        255,
        255,
        Sizes(minimum=64, window=1024, context=256, tiles=False),
    ),
    Layout("LaMa", ("image", "mask"), "float32", 1, 0, 1, 255, Sizes(context=128)),
)
KINDS = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


@dataclass(frozen=True, eq=False)
class OnnxFiller(Filler):
    """A network in onnxruntime, on a device."""

    layout: Layout
    session: onnxruntime.InferenceSession
    takes: Sizes
    device: str

    @property
    def sizes(self) -> Sizes:
        return self.takes

    def fill(
        self, rgb: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """See `Filler.fill`."""
        layout = self.layout
        image = rgb.transpose(2, 0, 1)[None] * np.float32(layout.white_in)
        if layout.kind == "uint8":
            image = image.round()
        mask = np.where(hole, layout.hole, layout.visible)[None, None]
        feeds = {
            name: np.ascontiguousarray(values, layout.kind)
            for name, values in zip(layout.inputs, (image, mask), strict=True)
        }
        try:
            out: Any = self.session.run(None, feeds)[0]
        except Exception as error:  # onnxruntime has a class for each of its states
            if "allocate" in str(error).lower():
                raise MemoryError(str(error)) from error
            raise WeightsError(f"the network does not run: {str(error)[:300]}") from error
        if out.shape != image.shape:
            raise WeightsError(f"the network returned {out.shape} for {image.shape}")
        filled = out[0].transpose(1, 2, 0).astype(np.float32)
        return filled / np.float32(layout.white_out)

    def describe(self) -> Mapping[str, str]:
        return {"device": self.device, "precision": "full"}


def read_onnx(path: Path) -> ForeignFiller:
    """Read the ONNX file at `path`; raise `WeightsError` if it fills no holes."""
    try:
        import onnxruntime  # noqa: F401 (only asked for here)
    except ImportError as error:
        raise WeightsError(f"{path} needs onnxruntime: pip install 'inpaint-cli[onnx]'") from error
    check_alone(path)

    first = open_session(path, "cpu")

    def make(device: str) -> OnnxFiller:
        place = choose_device(device)
        session = first if place == "cpu" else open_session(path, place)
        layout = find_layout(path, session)
        return OnnxFiller(layout, session, find_sizes(path, session, layout), place)

    header = dict(first.get_modelmeta().custom_metadata_map)
    return ForeignFiller(header.get("architecture", path.stem), make, header)


def check_alone(path: Path) -> None:
    """Raise `WeightsError` where tensors of the file at `path` are in other files.

    Such a tensor has an entry whose key is "location", a text of the length 8: the byte before
    the text is the end of that number.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(b"location")
            while at > 0:
                if data[at - 1] in (8, 0):
                    raise WeightsError(
                        f"{path} keeps tensors in other files, which are not read; get it as one"
                        " file"
                    )
                at = data.find(b"location", at + 1)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise WeightsError(f"{path} cannot be read: {error}") from error


def choose_device(device: str) -> str:
    """Return the device that is called so; `auto` is CUDA if onnxruntime has it, or the CPU."""
    import onnxruntime

    here = onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if PROVIDERS["cuda"] in here else "cpu"
    if PROVIDERS.get(device.partition(":")[0]) not in here:
        raise InpaintError(
            f"onnxruntime has no device '{device}' on this machine; try --device cpu, or install"
            " onnxruntime-gpu for CUDA"
        )
    return device


def open_session(path: Path, device: str) -> onnxruntime.InferenceSession:
    """Load the file for `device`."""
    import onnxruntime

    kind, _, number = device.partition(":")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    provider = (PROVIDERS[kind], {"device_id": number} if number else {})
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        _ = [(i.name, i.type, i.shape) for i in session.get_inputs()]  # which may be no text
        _ = session.get_modelmeta().custom_metadata_map
        return session
    except Exception as error:  # onnxruntime has a class for each of its states
        raise WeightsError(
            f"{path} is no ONNX file, damaged, or for a newer onnxruntime than"
            f" {onnxruntime.__version__}; get it again, or update onnxruntime"
        ) from error


def count_threads() -> int:
    """The threads that one network may use: $OMP_NUM_THREADS, or the processors of the process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(asked) if asked.isdigit() and int(asked) else cores or 1


def find_layout(path: Path, session: onnxruntime.InferenceSession) -> Layout:
    """Return the layout of the file, by the names, types and channels of its inputs."""
    inputs = {i.name: (KINDS.get(i.type), list(i.shape)) for i in session.get_inputs()}
    for layout in LAYOUTS:
        if set(inputs) != set(layout.inputs):
            continue
        if {kind for kind, _ in inputs.values()} != {layout.kind}:
            continue
        shapes = [inputs[name][1] for name in layout.inputs]
        if [len(shape) for shape in shapes] == [4, 4] and [s[1] for s in shapes] == [3, 1]:
            return layout
    shown = ", ".join(f"{i.name} {i.type} {i.shape}" for i in session.get_inputs())
    raise WeightsError(f"{path} fills no holes that we know of: it takes {shown}")


def find_sizes(path: Path, session: onnxruntime.InferenceSession, layout: Layout) -> Sizes:
    """Return the sizes that the file takes: fixed by its inputs, or in the header of ours."""
    height, width = session.get_inputs()[0].shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        if height != width:
            raise WeightsError(f"{path} takes {width} x {height} pixels alone; get a square one")
        context = min(layout.sizes.context, height // 4)
        return Sizes(height, height, square=True, window=height, context=context)
    header = session.get_modelmeta().custom_metadata_map
    return read_sizes(header["sizes"], path) if "sizes" in header else layout.sizes


def read_sizes(text: str, path: Path) -> Sizes:
    try:
        values: Any = json.loads(text)
        sizes = Sizes(**values)
        if not 1 <= sizes.multiple <= sizes.window or sizes.minimum < 1 or sizes.context < 0:
            raise ValueError(text)
        sizes.fit(1, 1)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise WeightsError(
            f"{path} has sizes in its header that cannot be used: {error}"
        ) from error
    return sizes
