"""Contact sheets of masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..files.write import atomic_path
from ..images import read_mask
from ..reports.contact_sheet import SheetImage, contact_sheet
from ..wording import count_text
from .manifest import MaskEntry

Item = TypeVar("Item")

SHEET_MASKS = 24  # masks on a contact sheet
SHEET_COLUMNS = 6


def write_mask_sheet(entries: Sequence[MaskEntry], folder: Path, path: Path) -> None:
    """Write a contact sheet of some masks of a set, with their ratios."""
    cells = [
        (read_mask(folder / e.file).hole.astype(np.uint8) * 255, f"{e.ratio:.1%} {e.file}")
        for e in spread_evenly(entries, SHEET_MASKS)
    ]
    write_sheet(cells, path, f"{folder}: {count_text(len(entries), 'mask')}")


def spread_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most `count` of `items`, evenly spaced."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def write_sheet(cells: Sequence[tuple[SheetImage, str]], path: Path, heading: str) -> None:
    """Write a contact sheet of images with captions."""
    rows = [cells[n : n + SHEET_COLUMNS] for n in range(0, len(cells), SHEET_COLUMNS)]
    with atomic_path(path) as temporary:
        contact_sheet(rows, cell=160, heading=heading).save(temporary)
