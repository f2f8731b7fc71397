"""Tensors without values: in an estimate of a training they have a shape and a type only."""

from contextlib import AbstractContextManager

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily


def has_values(tensor: Tensor) -> bool:
    """Whether `tensor` has values, as everywhere but in an estimate."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor))


def compute_values() -> AbstractContextManager[object]:
    """Return a context in which new tensors have values even in an estimate, to be cached."""
    return unset_fake_temporarily()
