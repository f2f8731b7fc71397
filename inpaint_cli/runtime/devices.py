"""Choose the device and the precision of networks, and manage their memory."""

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

import torch

from ..api.architectures import Precision
from ..errors import InpaintError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# oneDNN keeps a kernel a shape, 1,024 by default: crops of many sizes would take ever more memory
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


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


@contextmanager
def choose_algorithms(
    *, tf32: bool = False, autotune: bool | None = None, deterministic: bool | None = None
) -> Iterator[None]:
    """Within the block, let torch choose among these algorithms only; then among those of before.

    Without `tf32`, float32 is multiplied as float32, also in convolutions, where torch's own choice
    on GPUs is TF32. With `deterministic`, what has no such algorithm raises `RuntimeError`. None
    leaves a choice as it is.
    """
    cudnn = torch.backends.cudnn
    before = (
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
    )
    if deterministic:  # cuBLAS reads it when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_algorithms(
        "high" if tf32 else "highest",
        tf32,
        before[2] if autotune is None else autotune,
        before[3] if deterministic is None else deterministic,
    )
    try:
        yield
    finally:
        set_algorithms(*before)


def set_algorithms(matmul: str, tf32: bool, autotune: bool, deterministic: bool) -> None:
    """Set torch's switches: precision of matrix products, TF32 in convolutions, and the rest."""
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = autotune
    if torch.are_deterministic_algorithms_enabled() != deterministic:
        torch.use_deterministic_algorithms(deterministic)


def lacks_determinism(error: BaseException) -> bool:
    """Whether `error` means that an operation has no deterministic algorithm."""
    return isinstance(error, RuntimeError) and "deterministic implementation" in str(error)


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


def measure_memory(device: torch.device) -> float:
    """Return the bytes of `device` that this process has or may still get; NaN if unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows
        return math.nan


def release_memory(device: torch.device) -> None:
    """Release cached memory of `device`, for another attempt with less."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
