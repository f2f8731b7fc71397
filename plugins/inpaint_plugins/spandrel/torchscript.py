"""The tensors of a TorchScript archive, without its program.

`torch.jit.load` runs the archive's own `__setstate__`; here nothing from the file is called. An
archive is a zip whose `data.pkl` names modules as classes below `__torch__`; they are read as plain
containers of attributes.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor

from inpaint_cli.api import check_archive

STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class ArchiveModule:
    """A module of the archive: attributes without behaviour."""

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes


class ArchiveReader(pickle.Unpickler):
    """Unpickles the table of tensors in the folder `root` of an archive, and no other classes."""

    def __init__(self, table: IO[bytes], archive: ZipFile, root: PurePosixPath) -> None:
        super().__init__(table)
        self.archive = archive
        self.root = root

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name.startswith("__torch__"):
            return ArchiveModule
        if module_name == "torch" and global_name in STORAGE_DTYPES:
            return STORAGE_DTYPES[global_name]
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module_name == "torch.jit._pickle":  # typed lists and dictionaries
            return lambda value, *_: value
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, count = pid
        data = bytearray(self.archive.read(str(self.root / "data" / PurePosixPath(key).name)))
        return (
            torch.frombuffer(data, dtype=dtype, count=count)
            if count
            else torch.empty(0, dtype=dtype)
        )


def rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    """Return a copy of the part of `storage` that a tensor refers to, and no larger one."""
    if math.prod(size) > storage.numel():
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return storage.as_strided(size, stride, offset).clone()


def is_torchscript(path: Path) -> bool:
    """Return whether the file at `path` is an archive with a program in it."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def read_archive(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the archive at `path`, by names such as "model.conv.weight"."""
    check_archive(path)
    with ZipFile(path) as archive:
        tables = [PurePosixPath(n) for n in archive.namelist() if n.endswith("/data.pkl")]
        if not tables:
            raise BadZipFile("it has a program but no tensors")
        with archive.open(str(tables[0])) as table:
            return dict(list_tensors(ArchiveReader(table, archive, tables[0].parent).load(), ""))


def list_tensors(holder: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module and its submodules, with their names after `prefix`."""
    if isinstance(holder, Tensor):
        yield prefix.removesuffix("."), holder
    elif isinstance(holder, ArchiveModule):
        for name, value in holder.attributes.items():
            yield from list_tensors(value, f"{prefix}{name}.")
