from pathlib import Path

import click

from .types import echo, json_option, print_json


@click.command()
@click.argument(
    "folders",
    nargs=-1,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="[FOLDER | RUN RUN...]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PAGE.html",
    help="Of several runs: write a page with their curves laid over each other.",
)
@json_option
def runs_command(folders: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """List trainings, or compare some.

    \b
    Examples:
      inpaint runs
      inpaint runs runs/pconv-faces runs/lama-faces -o compared.html

    Without a folder, or with one, every training below it is listed: whether it runs, was stopped
    or is finished, its step, and its best score. The default is the folder runs. Of two runs or
    more, the settings in which their recipes differ are shown, and their scores.
    """
    from ..training.runs import compare_runs, list_runs, runs_table

    if len(folders) > 1:
        comparison = compare_runs(folders, output)
        if as_json:
            print_json(comparison.to_dict())
            return
        echo(comparison.table)
        if comparison.page:
            echo(comparison.page)
        return
    if output:
        raise click.UsageError("--output is for a comparison; give two runs")
    folder = folders[0] if folders else Path("runs")
    runs = list_runs(folder)
    if as_json:
        print_json([run.to_dict() for run in runs])
    else:
        echo(runs_table(runs, folder))
