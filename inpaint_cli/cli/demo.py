from pathlib import Path

import click

from .types import echo, notify


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="inpaint-demo",
    show_default=True,
    help="The folder for the pictures.",
)
@click.option("--overwrite", is_flag=True, help="Overwrite the pictures of an earlier demo.")
def demo_command(output: Path, overwrite: bool) -> None:
    """Fill a bundled sample photo.

    Writes a photo, a mask, the photo filled, and a sheet that shows all three; prints their paths.
    """
    from ..filling.demo import run_demo

    paths = run_demo(output, overwrite=overwrite, notify=notify)
    echo("\n".join(map(str, paths)))
