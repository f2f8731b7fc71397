from pathlib import Path
from typing import Any

import click

from .types import (
    echo,
    hole_options,
    json_option,
    mask_option,
    notify,
    overwrite_option,
    print_json,
    run_options,
)

EXISTING = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("photo", type=EXISTING)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@mask_option(
    "--mask",
    "FILE|FOLDER|alpha",
    "White where the hole is; for a folder of photos a folder of masks, paired as by"
    " `inpaint infer`, or one mask for all.",
)
@click.option(
    "--truth",
    type=EXISTING,
    help="What is really in the hole, to measure against: a photo, or a folder with the names of"
    " the photos; PHOTO itself where the hole is only a test.",
)
@hole_options
@run_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sheet to write.  [default: photo.compare.png beside photo.jpg]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep what each model made, as FOLDER/MODEL/photo.png.",
)
@overwrite_option
@json_option
def compare_command(
    photo: Path,
    models: tuple[str, ...],
    mask: str | None,
    truth: Path | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fill a photo with several models: a sheet and a table.

    \b
    Examples:
      inpaint compare photo.jpg --mask mask.png telea biharmonic patchmatch
      inpaint compare photo.jpg --mask mask.png patchmatch big-lama.safetensors -o sheet.png
      inpaint compare photos --mask masks --truth photos telea patchmatch

    A MODEL is a name that `inpaint models` lists, or a weights file. The sheet shows, at native
    scale around the hole, the photo, the hole, and what each model made, in the order given. The
    table has the mean seconds a photo, the peak memory beyond the program itself and, given
    --truth, PSNR (dB), SSIM and mean absolute error (L1, %) in the hole, and how visible the
    seam is (%); higher is better for PSNR and SSIM, lower for all else.
    """
    from ..files.pictures import picture_format

    if output is None:
        named = photo.resolve() if photo.is_dir() else photo  # "." has no name
        output = named.with_name(f"{named.stem}.compare.png")
    picture_format(output)  # before any work

    from ..filling.compare import compare_models, show_scores

    scores = compare_models(photo, mask, models, output, truth=truth, notify=notify, **options)
    if as_json:
        print_json({"sheet": str(output), "models": [line.to_dict() for line in scores]})
    else:
        echo(show_scores(scores))
        echo(output)
    if any(line.failed for line in scores):
        raise click.exceptions.Exit(1)
