"""Errors that checks expect of a plugin."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InpaintError


@contextmanager
def expect_error(kind: type[InpaintError], case: str) -> Iterator[None]:
    """Check that the block raises a `kind`, because it is given `case`."""
    try:
        yield
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{case} must raise {kind.__name__}, not {error!r}") from error
    raise AssertionError(f"{case} must raise {kind.__name__}, but nothing was raised")
