"""Short texts that several parts of the program print in one form."""

import math
from collections.abc import Iterable
from unicodedata import category


def printable(text: str) -> str:
    r"""Return `text` with what a terminal would obey, or not show, as escapes.

    Names of files and headers of weights may hold anything.

    >>> printable("a\x1b[2J\u202eb c"), printable("one\ntwo")
    ('a\\u001b[2J\\u202eb c', 'one\ntwo')
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" or category(c) == "Zs" else f"\\u{ord(c):04x}"
        for c in text
    )


def name_some(names: Iterable[object], most: int = 3) -> str:
    """Return the first `most` of `names`, and how many more there are.

    >>> name_some(["a.png", "b.png", "c.png", "d.png"])
    'a.png, b.png, c.png and 1 more'
    """
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun, regular in the plural.

    >>> count_text(1, "mask"), count_text(3, "mask")
    ('1 mask', '3 masks')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def number_text(value: float, form: str = ".4g") -> str:
    """Return `value` in the format `form`, or "-" for NaN.

    >>> number_text(0.123456), number_text(float("nan"))
    ('0.1235', '-')
    """
    return "-" if math.isnan(value) else f"{value:{form}}"


def json_number(value: float) -> float | str | None:
    """Return `value` for JSON, which has no NaN (None here) and no infinity ("inf" here).

    >>> json_number(0.5), json_number(float("nan")), json_number(float("inf"))
    (0.5, None, 'inf')
    """
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def describe_found(finder: str, share: float, photo: str) -> str:
    """Return a sentence about the share of a photo, 0 to 1, that a finder found.

    >>> describe_found("text", 0.0123, "a.jpg"), describe_found("dust", 0, "a.jpg")
    ("'text' found 1.23% of a.jpg", "'dust' found nothing in a.jpg")
    """
    if not share:
        return f"'{finder}' found nothing in {photo}"
    return f"'{finder}' found {max(share, 0.0001):.2%} of {photo}"
