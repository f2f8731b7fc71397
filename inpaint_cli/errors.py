"""Errors a user can act on. The command line prints them in a line; everything else is a bug.

InpaintError
├── ArgumentError    an argument of a function, or an option of a command, cannot be used
├── PluginError      a plugin is unknown, ambiguous or broken
├── RecipeError      a recipe is wrong, at a line
├── WeightsError     a weights file is missing, damaged or for something else
├── ImageError       a photo or a mask cannot be read, or does not fit
├── DataError        a data set, a folder or a list of files is not what it should be
└── TrainingError    a training cannot go on, or may not be taken up again
"""

import difflib
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class InpaintError(Exception):
    """Base of every error that a user can fix: one sentence that says what, where and what to do.

    `path` is the file at fault, and `line` the line in it (from 1), where they are known.
    """

    def __init__(
        self, message: str = "", *, path: Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.path, self.line = path, line


class ArgumentError(InpaintError):
    """`argument`, the name of a parameter, cannot be used, because of `reason`."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__()
        self.args = argument, reason  # with which pickle makes it again
        self.argument, self.reason = argument, reason

    def __str__(self) -> str:
        return f"{self.argument}: {self.reason}"


class PluginError(InpaintError):
    pass


class RecipeError(InpaintError):
    pass


class WeightsError(InpaintError):
    pass


class ImageError(InpaintError):
    pass


class DataError(InpaintError):
    pass


class TrainingError(InpaintError):
    pass


def blame_path(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let errors of a function whose first argument is a path carry it, where they name none."""

    @wraps(function)
    def blaming(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return function(*args, **options)
        except InpaintError as error:
            if error.path is None and args and isinstance(args[0], Path | str):
                error.path = Path(args[0])
            raise

    return blaming


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is not a `what`, and which was probably meant."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"
    return f"no {what} named '{name}'; {hint}"
