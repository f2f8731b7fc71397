"""Zip archives that stay packed: what is damaged says so, in whichever byte."""

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from inpaint_cli.errors import DataError
from inpaint_cli.files import zips as archives

TEXT = np.random.default_rng(0).integers(0, 8, 400, np.uint8).tobytes()


def packed(path: Path) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        file.writestr("a.png", TEXT)
    return path


def test_a_member_is_read_back(tmp_path: Path):
    path = packed(tmp_path / "a.zip")
    assert archives.zip_names(path) == ["a.png"]
    assert archives.read_zip_member(path, "a.png") == TEXT
    with pytest.raises(DataError, match=r"holds no b\.png"):
        archives.read_zip_member(path, "b.png")


def test_wherever_a_member_is_damaged_an_error_names_it(tmp_path: Path):
    data = packed(tmp_path / "a.zip").read_bytes()
    refused = 0
    for n in range(30, data.index(b"PK\1\2"), 3):  # of what is packed, without the names
        path = tmp_path / f"{n}.zip"
        path.write_bytes(data[:n] + bytes([data[n] ^ 0x5A]) + data[n + 1 :])
        try:
            assert archives.read_zip_member(path, "a.png") == TEXT
        except DataError as error:
            refused += "a.png" in str(error)
    assert refused > 50


def test_what_would_unpack_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_MEMBER", len(TEXT) - 1)
    with pytest.raises(DataError, match=r"a\.png unpacks to more than 399 bytes"):
        archives.read_zip_member(packed(tmp_path / "a.zip"), "a.png")
