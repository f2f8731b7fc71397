"""Pictures in tables: .parquet files, and the .arrow files that `datasets` saves to disk.

A row's pictures are in columns of structures {bytes, path}. The column called image, or else the
only one, gives the name 00000012.jpg for row 12; any other column, such as `labels`, a name with
it: 00000012.labels.png. The format is that of the first row. Needs the extra `datasets`.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..errors import DataError

TABLES = (".arrow", ".parquet")  # suffixes
PHOTO_COLUMNS = (
    "image",
    "img",
    "jpg",
    "png",
    "picture",
)  # the column of the photos, if there are several
PICTURE_STARTS = {
    b"\xff\xd8": ".jpg",
    b"\x89P": ".png",
    b"RI": ".webp",
    b"II": ".tif",
    b"MM": ".tif",
}


class PictureTable:
    """The rows of several files, one after the other."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.parts = dict[int, Any]()  # opened columns, by the number of their file

    def names(self) -> list[str]:
        """The names of all pictures."""
        rows = self.ends[-1] if self.ends else 0
        return [f"{row:08d}{ending}" for row in range(rows) for ending in self.endings]

    def read(self, name: str) -> bytes:
        """The picture of this name. Raises `DataError` where the cell is empty."""
        number, _, ending = name.partition(".")
        return self.cell(int(number), self.column(ending))

    def place(self, name: str) -> Path:
        """The path of a picture: the file of its row, and its name there."""
        number, _, ending = name.partition(".")
        file, row = self.locate(int(number))
        return self.files[file] / f"{row:08d}.{ending}"

    def column(self, ending: str) -> str:
        """The column of an ending of a name, whose suffix is that of another file's pictures."""
        own = ending.rpartition(".")[0]
        return own or next(iter(self.endings.values()))

    def locate(self, row: int) -> tuple[int, int]:
        """The number of the file that has a row, and the row's number there."""
        file = bisect_right(self.ends, row)
        return file, row - (self.ends[file - 1] if file else 0)

    def cell(self, row: int, column: str) -> bytes:
        """The picture in a row and column: its bytes, or the file that its path names."""
        file, inner = self.locate(row)
        cell = self.open(file).column(column)[inner].as_py() or {}
        if cell.get("bytes"):
            return cell["bytes"]
        where = f"row {inner} of {self.files[file]}, column {column}"
        if not cell.get("path"):
            raise DataError(f"{where}, has no picture; leave the row out")
        try:
            return (self.files[file].parent / cell["path"]).read_bytes()
        except OSError as error:
            raise DataError(f"{where}: {cell['path']} cannot be read: {error.strerror}") from error

    @cached_property
    def ends(self) -> list[int]:
        """The number of rows up to the end of each file."""
        return [*accumulate(open_table(f, rows=False).num_rows for f in self.files)]

    @cached_property
    def endings(self) -> dict[str, str]:
        """The column of each ending of a name, that of the photos first."""
        columns = self.picture_columns()
        known = [column for column in columns if column.lower() in PHOTO_COLUMNS]
        if len(columns) > 1 and len(known) != 1:
            raise DataError(
                f"{self.files[0]} has several columns of pictures ({', '.join(columns)}); call the "
                "one of the photos image"
            )
        main = (known or columns)[0]
        endings = {self.suffix(main): main}
        return endings | {f".{c}{self.suffix(c)}": c for c in columns if c != main}

    def suffix(self, column: str) -> str:
        """The suffix of the first picture in a column."""
        return PICTURE_STARTS.get(self.cell(0, column)[:2], ".png")

    def picture_columns(self) -> list[str]:
        """The columns whose cells have bytes and a path."""
        schema = self.open(0).schema
        own = [f.name for f in schema if {"bytes", "path"} <= {g.name for g in struct_fields(f)}]
        if not own or not self.open(0).num_rows:
            raise DataError(
                f"{self.files[0]} has no row with a picture; a column of pictures holds bytes and "
                f"path, here are: {', '.join(schema.names)}"
            )
        return own

    def open(self, number: int) -> Any:
        """The file of this number as a table of pyarrow, which stays on disk where it can."""
        if number not in self.parts:
            self.parts[number] = open_table(self.files[number])
        return self.parts[number]


def read_cell(path: Path, name: str) -> bytes:
    """The picture called `name` of the table at `path`. Raises `DataError` where there is none."""
    try:
        return find_table(path, os.stat(path).st_mtime_ns).read(name)
    except (ValueError, LookupError) as error:
        raise DataError(f"{path} holds no {name}; check the name") from error


@lru_cache(maxsize=2)  # they are held in memory
def find_table(path: Path, mtime: int) -> PictureTable:
    """The table in one file as it was at `mtime`."""
    return PictureTable([path])


def struct_fields(field: Any) -> list[Any]:
    """The fields of a column that is a structure; none of another."""
    return [field.type.field(n) for n in range(getattr(field.type, "num_fields", 0))]


def open_table(path: Path, *, rows: bool = True) -> Any:
    """Open one file, with all its `rows` or only their number.

    Raises `DataError` where it is damaged or pyarrow is missing.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path} is read with a package that is not installed: pip install "
            "'inpaint-cli[datasets]'"
        ) from error
    try:
        if path.suffix.lower() == ".parquet":
            read = parquet.read_table if rows else parquet.read_metadata
            return read(path, memory_map=True)
        return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a whole table: {reason}; get it again") from error
