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
    assert [label for _, label in curves.drawing["y"]] == ["1", "3.162", "10", "31.62", "100"]
