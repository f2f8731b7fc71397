"""Read what torch.save wrote, without running any of it."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor

from ..errors import WeightsError, blame_path

LARGEST_RATIO = 20  # of the bytes an archive unpacks to; torch stores tensors as they are


@blame_path
def load_pickle(path: Path) -> Any:
    """Return the tensors and plain values in the file at `path`, on the CPU.

    Raises `WeightsError` for what is no such file, is damaged, holds objects of other classes, or
    is an archive packed to burst. Classes named in `torch.serialization.safe_globals` are read.
    """
    try:
        check_archive(path)
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged files, which the error reports
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except WeightsError:
        raise
    except Exception as error:  # torch raises nearly anything for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{path} cannot be read safely, for it is damaged or holds more than tensors: {reason};"
            " get it as .safetensors"
        ) from error
    check_tensors(dict(flatten_tensors(loaded)), path)
    return loaded


def flatten_tensors(tree: Any, at: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested mappings, each with its dotted name."""
    if isinstance(tree, Tensor):
        yield at, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flatten_tensors(value, f"{at}.{key}" if at else str(key))


def check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise `WeightsError` where a tensor claims more numbers than the file at `path` stores."""
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{path}: {name} is larger than what the file stores; get it again")


def check_archive(path: Path) -> None:
    """Raise `WeightsError` where a zip archive unpacks to many times its size."""
    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: {error}; get it again") from error
    if unpacked > LARGEST_RATIO * path.stat().st_size + 2**20:
        raise WeightsError(
            f"{path} unpacks to {unpacked:,} bytes, far more than its size; do not trust it"
        )
