"""Tables of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts: the first column has names, the others usually numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def text(self, justify: Callable[[str, int], str] = str.rjust) -> str:
        """Return the table in columns of characters; `justify` is for all columns but the first.

        >>> print(Table(["", "s"], [["telea", "0.1"]]).text())
                 s
        telea  0.1
        """
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([name.ljust(widths[0]), *map(justify, cells, widths[1:])]).rstrip()
            for name, *cells in lines
        )
