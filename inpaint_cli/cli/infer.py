import json
from pathlib import Path
from typing import Any

import click

from .types import fill_options, hole_options, mask_path, model_options, run_options


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--masks",
    metavar="FOLDER|FILE|alpha",
    help="A folder of masks, or one mask for all photos; `alpha`: the holes are where the photos"
    " themselves are transparent.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the filled photos go, in the subfolders and under the names of the originals.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Fill only photos with such names, as 'image.*' or 'holiday/*.jpg'; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Show which photo gets which mask; write nothing.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Fill in N processes, as many as there are cores for models that use only one.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try photos again that could not be filled, though neither they nor the masks changed.",
)
@hole_options
@model_options
@run_options
@click.option("--verify", is_flag=True, help="Read results again; note what changed outside.")
@click.option(
    "--card", is_flag=True, help="Write beside each result what it came from (see `inpaint fill`)."
)
@click.option("--overwrite", is_flag=True, help="Replace files in the way that are not the job's.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def infer_command(
    photos: Path,
    masks: str | None,
    output: Path,
    only: tuple[str, ...],
    dry_run: bool,
    workers: int,
    retry_failed: bool,
    model: str | None,
    weights: str | None,
    verify: bool,
    card: bool,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill the holes of all photos of a folder.

    \b
    Examples:
      inpaint infer photos --masks masks -o filled --dry-run
      inpaint infer photos --masks masks -o filled --workers 4
      inpaint infer photos --masks logo.png -o filled --weights big-lama.safetensors
      accelerate launch -m inpaint_cli infer photos --masks masks -o filled

    Subfolders are read too, and kept. The mask of a/cat.jpg is a/cat.png in the folder of masks,
    or a/cat_mask.png, cat-mask, cat_mask001, mask_cat or mask-cat, in any format; photos without
    one share the file called a/mask.png, if there is one. Photos and masks may lie in one folder:
    masks are then the files with such names. --dry-run shows what belongs together.

    The same command again goes on where it was stopped or killed, and otherwise fills what is
    new, missing or changed. FOLDER/ledger.jsonl says how each photo ended. A photo that fails
    stops nothing: it is listed at the end, and the exit code is 1.
    """
    options = fill_options(settings, "--masks", masks)
    from ..filling import folder

    job = folder.FolderJob(
        photos,
        mask_path("--masks", masks),
        output,
        options,
        model,
        weights,
        only,
        overwrite=overwrite,
        verify=verify,
        card=card,
    )
    if dry_run:
        show(job, retry_failed, as_json)
        return
    report = folder.run_job(job, workers=workers, retry_failed=retry_failed, tell=tell)
    if report is None:  # another process reports
        return
    for sentence in (*report.unused.values(), *report.failed.values()):
        tell(sentence)
    if report.noted:
        tell(f"{output / 'ledger.jsonl'} has notes on {report.noted} of the photos")
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        click.echo(
            f"{output}: {report.filled} filled, {report.kept} kept, {len(report.failed)} failed"
        )
    if report.stopped:
        raise click.ClickException(f"{report.stopped}; the same command goes on from here")
    if report.failed:
        raise click.exceptions.Exit(1)


def show(job: Any, retry_failed: bool, as_json: bool) -> None:
    """Print the pairs, what would become of each, and who is left alone."""
    from ..filling import folder

    pairing = folder.pair_job(job)
    items = folder.survey_job(job, pairing, retry_failed=retry_failed)
    if as_json:
        rows = [
            {
                "photo": str(item.pair.photo),
                "mask": item.pair.mask and str(item.pair.mask),
                "output": str(item.output),
                "state": item.state,
            }
            for item in items
        ]
        found = {"pairs": rows, "failed": pairing.alone, "unused": pairing.unused}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        from ..reports.text import Table

        rows = [
            (str(i.pair.photo), str(i.pair.mask or ("alpha" if job.options.alpha else "")), i.state)
            for i in items
        ]
        click.echo(Table(("photo", "mask", f"in {job.output}"), rows).text(str.ljust))
    for sentence in (*pairing.unused.values(), *pairing.alone.values()):
        tell(sentence)
    if pairing.alone:
        raise click.exceptions.Exit(1)


def tell(note: str) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode():
        click.echo(note, err=True)
