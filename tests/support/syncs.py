"""Find the places where a step would make Python wait for a device.

On a CPU nothing waits, so they are found by what is called. `count_reads` notes what Python reads
of a tensor, and shapes that depend on values, of real steps. `count_copies` notes what is copied
to a device and waited for: its tensors are those of a GPU, but fake, without values.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READERS = ("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__",
           "__index__")  # fmt: skip
SHAPED_BY_VALUES = {"aten::nonzero", "aten::_unique2", "aten::unique_dim", "aten::masked_select",
                    "aten::bincount", "aten::repeat_interleave.Tensor", "aten::is_nonzero",
                    "aten::equal", "aten::_local_scalar_dense"}  # fmt: skip
HARMLESS = "torch/optim/"  # counts its steps in tensors that stay on the host


def note(found: list[str], what: str) -> None:
    """Add `what` with the line of the program that called it."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_stack(None)]
    outside = [place for place in frames if not place[0].endswith("syncs.py")]
    if any(HARMLESS in file for file, _ in outside[:4]):
        return
    file, line = next((p for p in outside if "/inpaint_" in p[0]), outside[0])
    found.append(f"{what} at {file.rpartition('/inpaint_')[2]}:{line}")


class ShapesByValues(TorchDispatchMode):
    """Notes each operation that reads values to know what to do."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        chosen = tree_leaves(args[1]) if name == "aten::index" else []
        masks = any(isinstance(t, Tensor) and t.dtype == torch.bool for t in chosen)
        if name in SHAPED_BY_VALUES or masks:
            note(self.found, name)
        return func(*args, **(kwargs or {}))


@contextmanager
def count_reads() -> Iterator[list[str]]:
    """Yield a list that grows by a line whenever Python reads values of a tensor."""
    found: list[str] = []
    real = {name: getattr(Tensor, name) for name in READERS}

    def spy(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            note(found, name)
            return real[name](*args, **kwargs)

        return call

    for name in READERS:
        setattr(Tensor, name, spy(name))
    try:
        with ShapesByValues(found):
            yield found
    finally:
        for name in READERS:
            setattr(Tensor, name, real[name])


class Copies(TorchDispatchMode):
    """Notes each copy between host and device that is waited for."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        ahead = (kwargs or {}).get("non_blocking", False)
        if "copy" in func._schema.name and not ahead:
            places = {t.device.type for t in tree_leaves((args, out)) if isinstance(t, Tensor)}
            if len(places) > 1:
                note(self.found, "copy")
        return out


@contextmanager
def count_copies() -> Iterator[list[str]]:
    """Yield a list that grows by a line whenever a copy to or from a GPU is waited for.

    Within the block every tensor is fake, so that there is no need for a GPU.
    """
    found: list[str] = []
    with FakeTensorMode(allow_non_fake_inputs=True), Copies(found):
        yield found
