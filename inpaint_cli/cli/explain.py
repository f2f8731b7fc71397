from pathlib import Path
from typing import Any

import click

from .types import FILE, fill_options, hole_options, mask_path, model_options, run_options


@click.command()
@click.argument("photo", type=FILE)
@click.option("--mask", metavar="FILE|alpha", help="White where the hole is.")
@hole_options
@model_options
@run_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the sheet goes.  [default: photo.explained.png beside photo.jpg]",
)
@click.option("--overwrite", is_flag=True, help="Replace a sheet of the same name.")
def explain_command(
    photo: Path,
    mask: str | None,
    model: str | None,
    weights: str | None,
    output: Path | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Show what a model makes of a photo on its way to a fill.

    \b
    Examples:
      inpaint explain photo.jpg --mask mask.png --weights spn.safetensors
      inpaint explain photo.jpg --region 120,80,200,150 --weights spn-p.safetensors -o seen.png

    What is shown is up to the model; of a large photo, the largest window that it works on.
    """
    options = fill_options(settings, "--mask", mask)
    from ..files.pictures import picture_format
    from ..files.write import check_free

    output = output or photo.with_name(f"{photo.stem}.explained.png")
    picture_format(output)  # before any work
    check_free(output, overwrite=overwrite)

    from ..filling.explain import explain_fill
    from ..models.choose import open_model

    explain_fill(
        open_model(model, weights), photo, mask_path("--mask", mask), output, options=options
    )
    click.echo(output)
