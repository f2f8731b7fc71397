import json
from pathlib import Path

import click

OUTPUT_PATH = click.Path(path_type=Path)
PHOTO_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class RatioType(click.ParamType):
    """A share of the picture in percent, "40-60", as (0.4, 0.6)."""

    name = "ratio"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            low, high = (float(part) for part in value.replace("%", "").split("-"))
        except ValueError:
            self.fail(f"'{value}' is not a ratio; write percents as in 40-60", param, ctx)
        if low > high:
            self.fail(f"'{value}' is upside down; write {high:g}-{low:g}", param, ctx)
        if not 0 <= low < high <= 100:
            self.fail(f"'{value}' holds no masks; write LOW-HIGH between 0 and 100", param, ctx)
        return low / 100, high / 100


class RatioListType(click.ParamType):
    """Several ratios, "1-10,10-20"."""

    name = "ratios"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        return [RatioType().convert(part.strip(), param, ctx) for part in value.split(",")]


class SizeType(click.ParamType):
    """A size in pixels, "256" or "512x384", as (height, width)."""

    name = "size"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) < 30_000 for side in sides):
            self.fail(f"'{value}' is not a size; write 256 or WIDTHxHEIGHT, 512x384", param, ctx)
        return int(sides[-1]), int(sides[0])


@click.group()
def masks_command() -> None:
    """Draw, check and rebuild sets of masks.

    In all of them white is the hole and black is what stays visible.
    """


@masks_command.command()
@click.argument("kind", default="irregular")
@click.option(
    "--ratio", type=RatioType(), help="Hole in percent of the picture: 40-60 is (40, 60]."
)
@click.option("--border/--no-border", default=None, help="The hole touches the edge, or does not.")
@click.option("--count", type=click.IntRange(1), help="How many masks.  [default: 100]")
@click.option(
    "--size", type=SizeType(), default="256", show_default=True, help="256, or 512x384 (wide)."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same masks."
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_PATH,
    default="masks",
    show_default=True,
    help="Folder to write to.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of KIND.")
@click.option(
    "--images", type=PHOTO_FOLDER, help="One mask for each photo in here, same size and name."
)
@click.option("--bins", type=RatioListType(), help="A set for each ratio: 1-10,10-20,20-30.")
@click.option(
    "--per-bin", type=click.IntRange(1), help="How many masks for each of --bins.  [default: 100]"
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier set and its sheet.")
@click.option("--sheet", type=OUTPUT_PATH, help="Also make a picture of some of them, to look at.")
def gen_command(
    kind: str,
    ratio: tuple[float, float] | None,
    border: bool | None,
    count: int | None,
    size: tuple[int, int],
    seed: int,
    output: Path,
    settings: tuple[str, ...],
    images: Path | None,
    bins: list[tuple[float, float]] | None,
    per_bin: int | None,
    workers: int,
    overwrite: bool,
    sheet: Path | None,
) -> None:
    """Draw a set of masks that can be rebuilt.

    KIND is a generator, `irregular` (brush strokes) unless you name another; `inpaint masks
    kinds` lists them with their settings. Masks are 1-bit PNGs, white in the hole. Beside them
    masks.jsonl says how each was drawn, and `inpaint masks rebuild` draws the same ones from it
    alone, on any machine.

    \b
    Examples:
      inpaint masks gen --ratio 40-60
          100 masks of 256x256 in masks/, the hole 40 to 60 % of each
      inpaint masks gen lama-thick --count 1000 --size 512 --seed 7 -o thick/
      inpaint masks gen --bins 1-10,10-20,20-30 --per-bin 2000 -o test/
      inpaint masks gen boxes --set count=[1,3] --images photos/ -o photos-masks/
    """
    if bins and (ratio or count):
        raise click.UsageError("--bins replaces --ratio and --count; say how many with --per-bin")
    if per_bin and not bins:
        raise click.UsageError("--per-bin needs --bins, such as --bins 1-10,10-20")
    if images and (count or per_bin):
        raise click.UsageError("--images makes one mask a photo; leave out --count and --per-bin")
    if images and output.exists() and output.samefile(images):
        raise click.UsageError(f"the masks would replace the photos of {images}: give another -o")
    from ..files.pictures import picture_format
    from ..files.write import check_free
    from ..masks import generate
    from ..masks.manifest import MANIFEST
    from ..masks.sheet import write_mask_sheet
    from ..recipe.plugins import make_generator

    if sheet:
        picture_format(sheet)  # before any work
        check_free(sheet, overwrite=overwrite)

    ratios = bins or [ratio]
    generators = [make_generator(kind, settings, ratio=r, border=border) for r in ratios]
    if images:
        orders = generate.match_orders(generators, images, seed=seed)
    else:
        orders = generate.number_orders(generators, count or per_bin or 100, size, seed=seed)
    entries = generate.generate_masks(
        orders, generators, output, workers=workers, overwrite=overwrite
    )
    if sheet:
        write_mask_sheet(entries, output, sheet)
    shares = [entry.ratio for entry in entries]
    click.echo(
        f"{len(entries)} masks by {kind}, hole {min(shares):.1%} to {max(shares):.1%}, mean "
        f"{sum(shares) / len(shares):.1%}; {output / MANIFEST} rebuilds them",
        err=True,
    )
    click.echo(output)


@masks_command.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--images", type=click.Path(exists=True, path_type=Path), help="The photos they are for."
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_PATH,
    help="Also make a picture of them, over the photos if given.",
)
@click.option("--overwrite", is_flag=True, help="Replace a picture of the same name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every mask and every finding.")
@click.pass_context
def check_command(
    ctx: click.Context,
    path: Path,
    images: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Check masks before any time is spent on them.

    PATH is a mask or a folder of masks. Tells how much is hole, whether black and white are the
    right way round, which files are gray, empty or unreadable, and, with --images, which do not
    fit their photo (paired by name). Each finding says what to do. Exits with 1 when something
    is wrong; notes alone are not wrong.

    \b
    Examples:
      inpaint masks check masks/
      inpaint masks check masks/ --images photos/ -o look.png
    """
    from ..files.pictures import picture_format
    from ..files.write import check_free
    from ..masks import check as mask_check

    if output:
        picture_format(output)  # before any work
        check_free(output, overwrite=overwrite)
    report = mask_check.inspect_masks(path, images)
    if output:
        mask_check.write_check_sheet(report, output)
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
    ctx.exit(1 if report.problems else 0)


@masks_command.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=OUTPUT_PATH, required=True, help="Folder to write to.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--overwrite", is_flag=True, help="Replace the masks in a folder that has some.")
@click.pass_context
def rebuild_command(
    ctx: click.Context, manifest: Path, output: Path, workers: int, overwrite: bool
) -> None:
    """Draw the masks of a manifest again, bit for bit.

    MANIFEST is the masks.jsonl that `inpaint masks gen` wrote. Every mask is compared with the
    hash in it; exits with 1, and names them, when some differ.

    \b
    Example:
      inpaint masks rebuild masks/masks.jsonl -o again/
    """
    from ..masks import generate
    from ..masks.manifest import read_manifest

    entries, differ = generate.rebuild_masks(manifest, output, workers=workers, overwrite=overwrite)
    if differ:
        versions = read_manifest(manifest)[0].versions
        click.echo(
            f"{len(differ)} of {len(entries)} masks differ from the manifest "
            f"({', '.join(differ[:3])}{', ...' if len(differ) > 3 else ''}); they were drawn with "
            f"{', '.join(f'{name} {v}' for name, v in versions.items())}: install those",
            err=True,
        )
    else:
        click.echo(f"{len(entries)} masks, all as the manifest says", err=True)
    click.echo(output)
    ctx.exit(1 if differ else 0)


@masks_command.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def kinds_command(kind: str | None, as_json: bool) -> None:
    """List the generators and their settings.

    All of them, or only KIND. Each setting can be given to `inpaint masks gen` as --set KEY=VALUE
    and in a recipe below `masks:`. Every generator also takes ratio and border.
    """
    from ..masks import generate

    rows = generate.list_generators(kind)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['kind']:13} {row['summary']}")
        for name, default in row["settings"].items():
            click.echo(f"{'':15}{name} = {json.dumps(default)}")
