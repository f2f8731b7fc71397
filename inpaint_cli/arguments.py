"""Check the arguments of public functions against their annotations."""

import re
from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import ConfigDict, PlainValidator, ValidationError, validate_call

from .errors import ArgumentError

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def to_path(value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("should be a path (str or Path)")
    return Path(value)


AnyPath = Annotated[str | Path, PlainValidator(to_path)]  # the function is given a `Path`


def check_arguments(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Make `function` raise `ArgumentError`, which names the argument, for values of a wrong type.

    >>> @check_arguments
    ... def grow(pixels: int) -> None: ...
    >>> grow("wide")
    Traceback (most recent call last):
    inpaint_cli.errors.ArgumentError: pixels: should be a valid integer, not 'wide'
    """
    checked: Callable[..., Returned] = validate_call(
        config=ConfigDict(arbitrary_types_allowed=True, validate_default=True)
    )(function)

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        bound = signature(function).bind(*args, **kwargs)
        try:
            return checked(**bound.arguments)
        except ValidationError as error:
            if error.title != function.__name__:  # not about the arguments
                raise
            raise argument_error(error) from None

    return call


def argument_error(error: ValidationError) -> ArgumentError:
    """Return the first problem in `error`, without pydantic's remarks on parsing."""
    first = error.errors()[0]
    reason = re.split(", (?:unable|got) ", first["msg"])[0]
    reason = reason.removeprefix("Input ").removeprefix("Value error, ")
    return ArgumentError(str(first["loc"][0]), f"{reason}, not {short_repr(first['input'])}")
