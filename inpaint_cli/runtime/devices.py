"""Choose the device and the precision of networks, and manage their memory."""

import ctypes
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from ..api.architectures import Precision
from ..errors import InpaintError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; `auto` is the first available of CUDA, MPS and CPU.

    Raises `InpaintError` if this machine has no such device.
    """
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if has_device(kind)), "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise InpaintError(
            f"no device is called '{name}'; try auto, cpu, cuda, cuda:1 or mps"
        ) from error
    beyond = chosen.type == "cuda" and (chosen.index or 0) >= max(1, torch.cuda.device_count())
    if beyond or not has_device(chosen.type):
        raise InpaintError(f"this machine has no device '{name}'; try --device auto")
    return chosen


def has_device(kind: str) -> bool:
    """Whether PyTorch can compute on this `kind` of device here."""
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available())


def choose_precision(name: str, allowed: Sequence[Precision], device: torch.device) -> Precision:
    """Return the precision called `name`; `auto` is bf16 on CUDA if `allowed`, otherwise full.

    On a CPU `auto` is always full: bf16 autocast took four times as long as float32 there, since
    few processors multiply bf16 natively. Raises `InpaintError` if the model does not allow it.
    """
    if name == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if native and "bf16" in allowed else "full"
    for choice in allowed:
        if choice == name:
            return choice
    raise InpaintError(f"this model cannot run in {name}; use --precision {' or '.join(allowed)}")


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return a context in which matrix products and convolutions run in `precision`."""
    if precision == "full":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor; return whether it does.

    By default it maps every large tensor afresh and unmaps it when it is freed, so that each
    layer waits for the system to clear its pages; benchmarks/memory.py measures what that costs
    a forward of LaMa. In return the process keeps its peak memory until it ends.
    Works only on Linux with glibc; elsewhere it does nothing.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX in malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt if sys.platform == "linux" else None
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt and mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that the memory of the device is full."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    message = str(error).lower()
    signs = ("not enough memory", "can't allocate", "out of memory", "cannot allocate")
    return isinstance(error, RuntimeError) and any(sign in message for sign in signs)


def release_memory(device: torch.device) -> None:
    """Release cached memory of `device`, for another attempt with less."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
