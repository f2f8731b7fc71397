from pathlib import Path

import click

from .types import FILE, echo, json_option, notify, print_json


@click.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@json_option
def scores_command(first: Path, second: Path, as_json: bool) -> None:
    """Compare two results of `inpaint eval`, image by image.

    FIRST and SECOND are files result.json that `inpaint eval -o` wrote, of one test set and by
    one protocol.

    \b
    Example:
      inpaint scores telea/result.json mine/result.json

    The table has each metric of both results, their difference, its 95 % confidence interval
    (bootstrap over the images), and the better result if the interval does not contain 0.
    """
    from ..evaluation.scores import compare_scores

    comparison = compare_scores(first, second)
    if as_json:
        print_json(comparison.to_dict())
        return
    echo(comparison.table)
    for note in comparison.notes:
        notify(note)
