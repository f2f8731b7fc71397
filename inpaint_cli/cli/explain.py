from pathlib import Path
from typing import Any

import click

from .types import (
    FILE,
    echo,
    hole_options,
    mask_option,
    model_options,
    overwrite_option,
    run_options,
)


@click.command()
@click.argument("photo", type=FILE)
@mask_option("--mask", "FILE|alpha", "White where the hole is.")
@hole_options
@model_options
@run_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sheet to write.  [default: photo.explained.png beside photo.jpg]",
)
@overwrite_option
def explain_command(photo: Path, mask: str | None, output: Path | None, **options: Any) -> None:
    """Show the steps of a model on its way to a fill.

    \b
    Examples:
      inpaint explain photo.jpg --mask mask.png --weights spn.safetensors
      inpaint explain photo.jpg --region 120,80,200,150 --weights spn-p.safetensors -o seen.png

    The model decides what is shown; of a large photo, the largest window that it works on.
    """
    from ..files.pictures import picture_format

    output = output or photo.with_name(f"{photo.stem}.explained.png")
    picture_format(output)  # before any work

    from ..filling.explain import explain_fill

    echo(explain_fill(photo, mask, output, **options))
