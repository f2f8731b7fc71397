"""Contact sheets of masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.write import atomic_path
from ..images import read_mask
from ..reports.contact_sheet import SheetImage, contact_sheet
from .generate import Element
from .manifest import MaskEntry

SHEET_MASKS = 24  # masks on a contact sheet


def write_mask_sheet(entries: Sequence[MaskEntry], folder: Path, path: Path) -> None:
    """Some masks of the set as a picture, with their ratios."""
    cells = [
        (read_mask(folder / e.file).hole.astype(np.uint8) * 255, f"{e.ratio:.1%} {e.file}")
        for e in spread_evenly(entries, SHEET_MASKS)
    ]
    write_sheet(cells, path, f"{folder}: {len(entries)} masks")


def spread_evenly(items: Sequence[Element], count: int) -> list[Element]:
    """At most `count` of `items`, evenly chosen."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def write_sheet(cells: Sequence[tuple[SheetImage, str]], path: Path, heading: str) -> None:
    """Write a contact sheet of six cells a row."""
    rows = [cells[n : n + 6] for n in range(0, len(cells), 6)]
    with atomic_path(path) as temporary:
        contact_sheet(rows, cell=160, heading=heading).save(temporary)
