"""Short texts that several rooms print."""

import math

import pytest

from inpaint_cli.wording import count_text, json_number, name_some, number_text


@pytest.mark.parametrize(
    ("names", "most", "text"),
    [
        ([], 3, ""),
        (["a"], 3, "a"),
        (["a", "b", "c"], 3, "a, b, c"),
        (["a", "b", "c", "d"], 3, "a, b, c and 1 more"),
        (range(20), 8, "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"),
    ],
)
def test_of_many_names_the_first_few_are_listed(names, most, text):
    assert name_some(names, most) == text


def test_counts_agree_with_their_noun():
    assert [count_text(n, "mask") for n in (0, 1, 2)] == ["0 masks", "1 mask", "2 masks"]


def test_numbers_without_a_value_are_a_dash_in_text_and_null_in_json():
    assert [number_text(x, ".1f") for x in (1.26, math.nan, math.inf)] == ["1.3", "-", "inf"]
    assert [json_number(x) for x in (1.26, math.nan, -math.inf)] == [1.26, None, "-inf"]
