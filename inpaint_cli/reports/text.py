"""Tables of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of cells, already worded; the first column is text, the others are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def text(self, justify: Callable[[str, int], str] = str.rjust) -> str:
        """The cells in columns of characters; `justify` is for all columns but the first."""
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([name.ljust(widths[0]), *map(justify, cells, widths[1:])]).rstrip()
            for name, *cells in lines
        )
