"""Check of a weights format."""

import io
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import torch

from .. import registry
from ..api.formats import Format
from ..errors import WeightsError
from .errors import expect_error


def check_format(name: str) -> None:
    """Check that the format `name` refuses files without a network, and executes none of them."""
    reader: type[Format] = registry.load_plugin("formats", name)
    with TemporaryDirectory() as folder:
        executed = Path(folder, "executed")
        for path in write_bad_files(Path(folder), Trap(executed)):
            with expect_error(WeightsError, path.name):
                reader.read(path)
            assert not executed.exists(), f"it executed the content of {path.name}"


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def write_bad_files(folder: Path, trap: Trap) -> Iterator[Path]:
    """Write files named like weights: damaged, of other kinds, or with a trap."""
    saved = io.BytesIO()
    torch.save({"state_dict": trap}, saved)
    contents = {
        "empty": b"",
        "text": b"not a file of weights",
        "long": (2**62).to_bytes(8, "little") + b"{}",
        "torn": saved.getvalue()[:100],
        "cut": pickle.dumps("a text whose length is cut", 2)[:4],
        "pickled": pickle.dumps(trap, 2),
        "saved": saved.getvalue(),
        "script": make_zip({"net/code/net.py": b"", "net/data.pkl": pickle.dumps(trap, 2)}),
        "program": make_zip({"net/code/net.py": b""}),
    }
    yield folder / "missing.safetensors"
    for suffix in (".safetensors", ".pth", ".pt", ".ckpt"):
        for name, content in contents.items():
            path = folder / (name + suffix)
            path.write_bytes(content)
            yield path


def make_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of `files`."""
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return archive.getvalue()
