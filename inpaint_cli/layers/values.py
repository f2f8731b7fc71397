"""Whether the values of a tensor can be read: in an estimate of a training there are none.

When a network is exported they are those of an example, whose size must not be built in.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily


def has_values(tensor: Tensor) -> bool:
    """Whether `tensor` has values, as everywhere but in an estimate."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def waits_for_device(tensor: Tensor) -> bool:
    """Whether Python would wait for a device to read values of `tensor`, and so must not."""
    return has_values(tensor) and tensor.device.type != "cpu"


def compute_values() -> AbstractContextManager[object]:
    """Return a context in which new tensors have values even in an estimate, to be cached."""
    return unset_fake_temporarily()


def is_exporting() -> bool:
    """Whether a network is run to write down its operators, which are then for all sizes."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
