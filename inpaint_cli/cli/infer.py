from pathlib import Path
from typing import Any

import click

from .types import (
    PhotoFolderPath,
    echo,
    hole_options,
    json_option,
    mask_option,
    model_options,
    notify,
    print_json,
    quality_option,
    run_options,
)


@click.command()
@click.argument("photos", type=PhotoFolderPath())
@mask_option(
    "--masks",
    "FOLDER|FILE|alpha",
    "Masks, of the same kinds as PHOTOS, or one for all photos; `alpha`: the holes are where the"
    " photos themselves are transparent.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder for the filled photos, in the subfolders and under the names of the originals.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Fill only photos with matching names, such as 'image.*' or 'holiday/*.jpg'; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Show which photo gets which mask; write nothing.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Fill in N processes: as many as there are cores for models that use only one.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Retry photos that failed before, even if neither photo nor mask has changed.",
)
@click.option(
    "--format",
    metavar="SUFFIX",
    help="Write all photos in this format, such as png or jpg.  [default: that of each photo]",
)
@quality_option
@hole_options
@model_options
@run_options
@click.option("--verify", is_flag=True, help="Read results again; note what changed outside.")
@click.option(
    "--card", is_flag=True, help="Write beside each result how it was made (see `inpaint fill`)."
)
@click.option(
    "--overwrite", is_flag=True, help="Overwrite existing outputs that this job did not create."
)
@json_option
def infer_command(photos: Path, mask: str | None, as_json: bool, **options: Any) -> None:
    """Fill the holes of all photos of a folder.

    \b
    Examples:
      inpaint infer photos --masks masks -o filled --dry-run
      inpaint infer photos --masks masks -o filled --workers 4
      inpaint infer photos --find text -o filled --find-limit 5%
      inpaint infer photos --masks logo.png -o filled --weights big-lama.safetensors
      torchrun --nproc-per-node 2 -m inpaint_cli infer photos --masks masks -o filled

    PHOTOS is a folder, zip file, tar, shards, tables or a list of paths. Subfolders are read too,
    and kept; rows of tables are called 00000012.jpg. The mask of a/cat.jpg is a/cat.png in the
    folder of masks, or a/cat_mask.png, cat-mask, cat.mask, cat_mask001, mask_cat or mask-cat, in
    any format; photos without one share the file called a/mask.png, if there is one. Photos and
    masks may be in one place: masks are then what has such a name, or the column `mask` of tables.
    --dry-run shows what belongs together.

    Run the same command again to resume: it fills what is new, missing or changed.
    FOLDER/ledger.jsonl says how each photo ended. A photo that fails stops nothing: it is listed
    at the end, as are those without a hole and pictures that cannot be read, and the exit code
    is 1.
    """
    from ..filling.folder import fill_folder

    report = fill_folder(photos, mask, notify=notify, **options)
    if report is None:  # another process reports
        return
    for sentence in report.sentences():
        notify(sentence)
    if options["dry_run"]:
        print_json(report.plan_to_dict()) if as_json else echo(show_plan(report))
    elif as_json:
        print_json(report.to_dict())
    else:
        echo(f"{report.output}: {report.heading}")
    if report.stopped:
        raise click.ClickException(f"{report.stopped}; run the same command again to resume")
    if not report.complete:
        raise click.exceptions.Exit(1)


def show_plan(report: Any) -> str:
    """Return the pairs as a table, with what would become of each."""
    from ..reports.text import Table

    rows = [(str(item.pair.photo), str(item.pair.mask or ""), item.state) for item in report.plan]
    return Table(("photo", "mask", f"in {report.output}"), rows).text(str.ljust)
