"""Arguments of public functions are checked against their annotations, by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import PositiveInt, TypeAdapter

from inpaint_cli.arguments import AnyPath, check_arguments
from inpaint_cli.errors import ArgumentError, InpaintError


@check_arguments
def report(
    folder: AnyPath = "out",
    count: PositiveInt = 1,
    *,
    size: tuple[int, int] | None = None,
    options: Mapping[str, int] | None = None,
) -> tuple:
    """Return the arguments."""
    return folder, count, size, options


def test_right_arguments_come_through_and_paths_as_paths():
    assert report() == (Path("out"), 1, None, None)
    assert report("a", 3, size=(4, 5)) == (Path("a"), 3, (4, 5), None)
    assert report(Path("a"), count=2, options={"b": 1}) == (Path("a"), 2, None, {"b": 1})
    assert report.__doc__ == "Return the arguments."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"folder": 3}, r"folder: should be a path \(str or Path\), not 3"),
        ({"count": 0}, "count: should be greater than 0, not 0"),
        ({"count": "many"}, "count: should be a valid integer, not 'many'"),
        ({"count": 1.5}, r"count: should be a valid integer, not 1\.5"),
        ({"size": 4}, "size: should be a valid tuple, not 4"),
        ({"options": [1]}, "options: should be a valid dictionary"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(arguments, says):
    with pytest.raises(ArgumentError, match=says) as caught:
        report(**arguments)
    assert isinstance(caught.value, InpaintError)
    assert caught.value.argument in arguments


def test_a_positional_argument_is_named_too_and_large_values_are_cut():
    with pytest.raises(ArgumentError, match="count: should be a valid integer") as caught:
        report("a", np.zeros((50, 50)))  # pyright: ignore[reportArgumentType]
    assert len(str(caught.value)) < 200


def test_an_unknown_argument_is_a_type_error_as_ever():
    with pytest.raises(TypeError, match="colour"):
        report(colour="red")  # pyright: ignore[reportCallIssue]


def test_errors_inside_the_function_are_not_blamed_on_its_arguments():
    @check_arguments
    def parse(text: str) -> int:
        return TypeAdapter(int).validate_python(text)

    assert parse("3") == 3
    with pytest.raises(ValueError, match="valid integer") as caught:
        parse("three")
    assert not isinstance(caught.value, ArgumentError)
