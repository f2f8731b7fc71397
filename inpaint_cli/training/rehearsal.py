"""A training step by shapes alone: what autograd keeps for it, and what it computes.

Tensors are fake: they have a shape, a type and a device, but no values and no memory, so that every
layer runs as on a CPU, autocast included, and costs neither time nor memory.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ..api.architectures import Batch, Task
from ..runtime.devices import DTYPES
from .build import Built
from .loop import PhaseParts, freeze_gradients, select_parameters, swap_modules


@dataclass(frozen=True)
class Rehearsal:
    """What one step takes in a process; lazy phases count by how often they are due."""

    kept: int  # bytes that autograd keeps at once, at most
    operations: float  # of matrix products and convolutions
    moved: float  # bytes that all other layers read and write


@dataclass
class SavedBytes:
    """The bytes of the storages that autograd keeps, now and at most; parameters do not count."""

    task: Task
    now: int = 0
    most: int = 0
    holders: Counter[int] = field(default_factory=Counter)  # of each storage

    def __post_init__(self) -> None:
        kept = [*self.task.parameters(), *self.task.buffers()]
        self.own = {tensor.untyped_storage()._cdata for tensor in kept}

    def add(self, storage: Any) -> None:
        """Note that `storage` is kept once more."""
        if storage._cdata in self.own:
            return
        if not self.holders[storage._cdata]:
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
        self.holders[storage._cdata] += 1

    def remove(self, storage: Any) -> None:
        """Note that `storage` is kept once less."""
        if storage._cdata in self.own:
            return
        self.holders[storage._cdata] -= 1
        if not self.holders[storage._cdata]:
            self.now -= storage.nbytes()

    def hooks(self) -> saved_tensors_hooks:
        """Return a context in which everything that autograd keeps is counted."""
        return saved_tensors_hooks(
            lambda tensor: SavedTensor(tensor, self), lambda held: held.tensor
        )


class StepCost(TorchDispatchMode):
    """Within it, operations of products are counted, and the bytes that other layers touch."""

    def __init__(self) -> None:
        super().__init__()
        self.total = np.zeros(2)  # operations, bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total[0] += count(*args, **(kwargs or {}), out_val=out)
        elif not func.is_view:
            touched = [t for t in tree_leaves((args, out)) if isinstance(t, Tensor)]
            self.total[1] += sum(t.nbytes for t in touched)
        return out


class SavedTensor:
    """A tensor that autograd keeps, counted as long as it does."""

    def __init__(self, tensor: Tensor, counter: SavedBytes) -> None:
        self.tensor, self.counter = tensor, counter
        counter.add(tensor.untyped_storage())

    def __del__(self) -> None:
        self.counter.remove(self.tensor.untyped_storage())


class MixedNetwork(nn.Module):
    """A network whose forward runs in reduced precision, as Accelerate prepares it."""

    def __init__(self, net: nn.Module, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.net, self.dtype = net, dtype

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.dtype is None:
            return self.net(*args, **kwargs)
        with torch.autocast("cpu", self.dtype):
            out = self.net(*args, **kwargs)
        return convert_to_fp32(out)


def rehearse_stage(built: Built, name: str) -> Rehearsal:
    """Run one step of the stage `name` by shapes alone; `built` stays as it is.

    Raises whatever a network raises that needs values.
    """
    recipe, task = built.recipe, deepcopy(built.task)
    height, width = built.architecture.sizes(built.settings).fit(*2 * [recipe.data.size])
    count = max((built.stages[name].batch or 1) // recipe.accumulate, 1)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        make_fake(task, mode)
        batch = Batch(
            torch.rand(count, 3, height, width),
            torch.ones(count, 1, height, width),
            torch.zeros(count, height, width, dtype=torch.long),
        )
        return run_step(task, name, batch, DTYPES.get(recipe.precision), recipe.accumulate)


def make_fake(task: Task, mode: FakeTensorMode) -> None:
    """Put a fake in the place of each parameter and buffer.

    `Module._apply` would do, but before PyTorch 2.9 it puts the fake's data into the parameter.
    """
    for module in task.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = mode.from_tensor(tensor)  # type: ignore[assignment]


def run_step(
    task: Task, name: str, batch: Batch, dtype: torch.dtype | None, parts: int
) -> Rehearsal:
    """Run the step of stage `name` on `batch`, one of `parts`: every phase forward and back."""
    selected = select_parameters(task, name)
    saved = SavedBytes(task)
    with saved.hooks(), mixed_networks(task, selected, dtype):
        with StepCost() as forward:
            out = task.predict(batch)
        total = forward.total
        for part in selected:
            with StepCost() as own, freeze_gradients(part.others):
                sum(part.phase.losses(batch, out).values(), torch.zeros(())).backward()
            total = total + own.total / part.phase.every
    operations, moved = parts * total
    return Rehearsal(saved.most, operations, moved)


@contextmanager
def mixed_networks(
    task: Task, selected: Sequence[PhaseParts], dtype: torch.dtype | None
) -> Iterator[None]:
    """Within the block, run the networks that learn in the precision `dtype`."""
    children = {module.partition(".")[0] for part in selected for module in part.phase.trains}
    mixed = {child: MixedNetwork(task.get_submodule(child), dtype) for child in children}
    with swap_modules(task, mixed):
        yield
