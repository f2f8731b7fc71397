"""Tables of text."""

from inpaint_cli.reports.text import Table


def test_a_table_in_columns_of_characters():
    table = Table(["", "seconds"], [["telea", "0.1"], ["ns", "12"]])
    assert table.text() == "       seconds\ntelea      0.1\nns          12"
    assert table.text(str.ljust) == "       seconds\ntelea  0.1\nns     12"
