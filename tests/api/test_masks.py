"""The contract of mask generators."""

from inpaint_cli.api.masks import hole_areas


def test_intervals_are_open_below_and_closed_above():
    assert list(hole_areas((0.29, 0.31), 100)) == [30, 31]  # though 0.29 * 100 < 29 in floats
    assert list(hole_areas((0, 0.02), 100)) == [1, 2]
    assert not hole_areas((0.401, 0.402), 100)
