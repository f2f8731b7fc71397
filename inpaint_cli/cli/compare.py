import json
import math
from pathlib import Path
from typing import Any

import click

from .types import fill_options, hole_options, mask_path, run_options

EXISTING = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("photo", type=EXISTING)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--mask",
    metavar="FILE|FOLDER|alpha",
    help="White where the hole is; for a folder of photos a folder of masks, paired as by"
    " `inpaint infer`, or one mask for all.",
)
@click.option(
    "--truth",
    type=EXISTING,
    help="What is really there, to measure against: a photo, or a folder with the names of the"
    " photos; PHOTO itself where the hole is only a test.",
)
@hole_options
@run_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the sheet goes.  [default: photo.compare.png beside photo.jpg]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep what each model made, as FOLDER/MODEL/photo.png.",
)
@click.option("--overwrite", is_flag=True, help="Replace a sheet and results of the same names.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def compare_command(
    photo: Path,
    models: tuple[str, ...],
    mask: str | None,
    truth: Path | None,
    output: Path | None,
    results: Path | None,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill a photo with several models: a sheet and a table.

    \b
    Examples:
      inpaint compare photo.jpg --mask mask.png telea biharmonic patchmatch
      inpaint compare photo.jpg --mask mask.png patchmatch big-lama.safetensors -o sheet.png
      inpaint compare photos --mask masks --truth photos telea patchmatch

    A MODEL is a name that `inpaint models` lists, or a weights file. The sheet shows, at native
    scale around the hole, the photo, the hole, and what each model made, in the order given. The
    table has the mean seconds a photo, the memory at the peak beyond the program itself and,
    given --truth, PSNR (dB), SSIM and mean absolute error (L1, %) in the hole, and how far the
    seam stands out (%); of PSNR and SSIM more is better, of all else less.
    """
    options = fill_options(settings, "--mask", mask)
    from ..files.pictures import picture_format
    from ..files.write import check_free

    if output is None:
        named = photo.resolve() if photo.is_dir() else photo  # "." has no name
        output = named.with_name(f"{named.stem}.compare.png")
    picture_format(output)  # before any work
    check_free(output, overwrite=overwrite)

    from ..filling.compare import COMPARE_METRICS, compare_models
    from ..reports.text import Table

    lines = compare_models(
        photo,
        mask_path("--mask", mask),
        models,
        options=options,
        truth=truth,
        page=output,
        results=results,
        overwrite=overwrite,
        tell=lambda note: click.echo(note, err=True),
    )
    if as_json:
        report = {"sheet": str(output), "models": [line.to_dict() for line in lines]}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        scores = [*COMPARE_METRICS] if truth else []
        rows = [
            [
                line.model,
                number(line.seconds, 3),
                number(line.memory, 0),
                *(number(line.scores[name], 3) for name in scores),
            ]
            for line in lines
        ]
        click.echo(Table(["model", "seconds", "MB", *scores], rows).text())
        click.echo(output)
    if any(line.failed for line in lines):
        raise click.exceptions.Exit(1)


def number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
