"""Contact sheets of masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.write import replacing
from ..images import read_mask
from ..reports.contact_sheet import Picture, sheet
from .generate import T
from .manifest import Entry

SHOWN = 24  # masks on a contact sheet


def contact_sheet(entries: Sequence[Entry], folder: Path, path: Path) -> None:
    """Some masks of the set as a picture, with their ratios."""
    cells = [
        (read_mask(folder / e.file).hole.astype(np.uint8) * 255, f"{e.ratio:.1%} {e.file}")
        for e in spread(entries, SHOWN)
    ]
    laid_out(cells, path, f"{folder}: {len(entries)} masks")


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of `items`, evenly chosen."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def laid_out(cells: Sequence[tuple[Picture, str]], path: Path, heading: str) -> None:
    """Write a contact sheet of six cells a row."""
    rows = [cells[n : n + 6] for n in range(0, len(cells), 6)]
    with replacing(path) as temporary:
        sheet(rows, cell=160, heading=heading).save(temporary)
