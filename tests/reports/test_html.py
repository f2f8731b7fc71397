"""HTML reports."""

import math

import numpy as np

from inpaint_cli.reports.html import Curves, Figure, Heading, Listing, write_page
from inpaint_cli.reports.text import Table


def test_a_report_escapes_what_it_shows_and_fetches_nothing(tmp_path):
    curves = Curves({"a<b": [(0, 1), (1, math.nan), (2, 100)]}, logarithmic=True)
    parts = [
        Heading("<script>"),
        Table(["x"], [["<b>"]]),
        Listing("a\n  b"),
        Figure(np.zeros((4, 4, 3), np.uint8), '"quoted"'),
        curves,
        Curves({}),
    ]
    write_page(tmp_path / "r.html", "A & B", parts)
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "A &amp; B" in page
    assert "&lt;b&gt;" in page
    assert "http" not in page
    assert page.count("<polyline") == 1
    ((_, _, line),) = curves.drawing["lines"]
    assert len(line.split()) == 2
    assert [label for _, label in curves.drawing["y"]] == ["1", "2", "5", "10", "20", "50", "100"]


def test_a_loss_that_is_not_positive_is_drawn_on_a_linear_axis():
    """From its first point, not from the first that has a logarithm."""
    curves = Curves({"adversarial": [(0, -2), (50, -1), (100, 0.5)]}, logarithmic=True)
    ((_, _, line),) = curves.drawing["lines"]
    assert len(line.split()) == 3
    assert [label for _, label in curves.drawing["y"]] == ["-2", "-1.5", "-1", "-0.5", "0", "0.5"]


def test_plots_of_one_training_have_one_x_axis():
    short, long = (Curves({"a": [(0, 1), (end, 2)]}, x_span=(0, 100)).drawing for end in (50, 100))
    assert short["x"] == long["x"]
    ends = [float(drawing["lines"][0][2].split()[-1].split(",")[0]) for drawing in (short, long)]
    assert ends[0] < ends[1] == Curves.WIDTH - 12


def test_ticks_of_a_logarithmic_axis_are_round_and_few():
    for values in ([1e-4, 1e3], [0.03, 0.06], [1, 1.02], [1e-12, 1e12]):
        drawing = Curves({"a": list(enumerate(values))}, logarithmic=True).drawing
        assert 2 <= len(drawing["y"]) <= 9, values
