from pathlib import Path
from typing import Any

import click

from .types import FILE, PercentType, echo, json_option, notify, overwrite_option, print_json

PATH = click.Path(path_type=Path)
MASKS_PATH = click.Path(exists=True, path_type=Path)
workers_option = click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Number of processes."
)


class RatioType(click.ParamType):
    """Bounds of the hole ratio in percent, "40-60", as (0.4, 0.6)."""

    name = "ratio"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            low, high = (float(part) for part in value.replace("%", "").split("-"))
        except ValueError:
            self.fail(f"'{value}' is not a ratio; write LOW-HIGH in percent: 40-60", param, ctx)
        if low > high:
            hint = f"the bounds are reversed; did you mean {high:g}-{low:g}?"
            self.fail(f"'{value}': {hint}", param, ctx)
        if not 0 <= low < high <= 100:
            self.fail(f"'{value}': the bounds must be different, and 0 to 100", param, ctx)
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
            self.fail(f"'{value}' is not a size; write 256, or WIDTHxHEIGHT: 512x384", param, ctx)
        return int(sides[-1]), int(sides[0])


settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of KIND; repeatable.",
)


@click.group()
def masks_command() -> None:
    """Find masks in photos; draw, check and rebuild sets of masks.

    White is the hole, black is what stays visible.
    """


@masks_command.command()
@click.argument("kind", default="irregular")
@click.option(
    "--ratio", type=RatioType(), help="Hole area in percent of the image: 40-60 is (40, 60]."
)
@click.option(
    "--border/--no-border", default=None, help="The hole touches the edge of the image, or not."
)
@click.option("--count", type=click.IntRange(1), help="Number of masks.  [default: 100]")
@click.option(
    "--size",
    type=SizeType(),
    default="256",
    show_default=True,
    help="Size in pixels, SIDE or WIDTHxHEIGHT.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The same seed gives the same masks.",
)
@click.option(
    "-o", "--output", type=PATH, default="masks", show_default=True, help="Folder of the set."
)
@settings_option
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    help="Draw one mask for each photo of a folder, zip file, tar, shards, tables or list, with its"
    " size and name.",
)
@click.option("--bins", type=RatioListType(), help="Draw a set for each ratio: 1-10,10-20,20-30.")
@click.option(
    "--per-bin", type=click.IntRange(1), help="Number of masks for each of --bins.  [default: 100]"
)
@workers_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier set in the folder, and SHEET.")
@click.option(
    "--sheet", type=PATH, metavar="SHEET", help="Write a contact sheet of some masks to this file."
)
def gen_command(
    kind: str, bins: Any, per_bin: int | None, count: int | None, **options: Any
) -> None:
    """Draw a set of masks that can be rebuilt.

    KIND is a generator: irregular (brush strokes) by default; `inpaint masks kinds` lists them
    with their settings. Masks are 1-bit PNGs, white in the hole. The file masks.jsonl in their
    folder describes how each was drawn; `inpaint masks rebuild` draws the same ones from it, on any
    machine.

    \b
    Examples:
      inpaint masks gen --ratio 40-60
          100 masks of 256x256 in masks/, the hole 40 to 60 % of each
      inpaint masks gen lama-thick --count 1000 --size 512 --seed 7 -o thick/
      inpaint masks gen --bins 1-10,10-20,20-30 --per-bin 2000 -o test/
      inpaint masks gen boxes --set count=[1,3] --images photos/ -o photos-masks/
    """
    if bins and count:
        raise click.UsageError("--count cannot be combined with --bins; use --per-bin")
    if per_bin and not bins:
        raise click.UsageError("--per-bin needs --bins, such as --bins 1-10,10-20")
    from ..masks.generate import generate_masks

    masks = generate_masks(kind, bins=bins or (), count=count or per_bin, **options)
    notify(masks.summary)
    echo(masks.folder)


@masks_command.command()
@click.argument("path", type=MASKS_PATH)
@click.option("--images", type=MASKS_PATH, help="The photos of the masks, paired by name.")
@click.option(
    "-o",
    "--output",
    "sheet",
    type=PATH,
    help="Write a contact sheet of masks, over their photos if given, to this file.",
)
@overwrite_option
@json_option
@click.pass_context
def check_command(ctx: click.Context, path: Path, as_json: bool, **options: Any) -> None:
    """Check masks before they are used.

    PATH is a mask or a folder of masks. Prints the hole ratios, whether black and white are the
    right way round, which files are gray, empty or unreadable, and, with --images, which masks do
    not fit their photo. Each finding says what to do. Exits with 1 if there are problems, with 0 if
    there are only notes.

    \b
    Examples:
      inpaint masks check masks/
      inpaint masks check masks/ --images photos/ -o sheet.png
    """
    from ..masks.check import inspect_masks

    report = inspect_masks(path, **options)
    if as_json:
        print_json(report.to_dict())
    else:
        echo(report.text)
    ctx.exit(1 if report.problems else 0)


@masks_command.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the set.")
@workers_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier set in the folder.")
@click.pass_context
def rebuild_command(ctx: click.Context, manifest: Path, **options: Any) -> None:
    """Draw the masks of a manifest again, bit for bit.

    MANIFEST is a file masks.jsonl that `inpaint masks gen` wrote. Every mask is compared with its
    hash in the manifest; exits with 1, and names them, if some differ.

    \b
    Example:
      inpaint masks rebuild masks/masks.jsonl -o again/
    """
    from ..masks.generate import rebuild_masks

    masks = rebuild_masks(manifest, **options)
    notify(masks.summary)
    echo(masks.folder)
    ctx.exit(1 if masks.differing else 0)


@masks_command.command()
@click.argument("kind")
@click.argument("photo", type=FILE)
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE", help="Mask to write.")
@click.option(
    "--preview", type=PATH, metavar="FILE", help="Write the photo with the mask laid over it."
)
@settings_option
@click.option("--box", metavar="X,Y,W,H", help="Around an object or ellipse: sets `box` of KIND.")
@click.option(
    "--at", multiple=True, metavar="X,Y", help="A click on an object: sets `at`; repeatable."
)
@click.option(
    "--not", "avoid", multiple=True, metavar="X,Y", help="A click beside it: sets `avoid`."
)
@click.option(
    "--limit",
    type=PercentType(),
    metavar="PERCENT",
    help="Refuse a mask of a larger share of the photo.  [default: that of KIND]",
)
@overwrite_option
def find_command(
    kind: str,
    photo: Path,
    settings: tuple[str, ...],
    box: str | None,
    at: tuple[str, ...],
    avoid: tuple[str, ...],
    **options: Any,
) -> None:
    """Make a mask from what a photo shows.

    KIND is a finder, such as text, scratches, color or polygon; `inpaint masks finders` lists them
    with their settings, which may stand behind a colon too: color:value=#ff8c1e,tolerance=15. The
    mask is a 1-bit PNG, white where something was found; all black, with a message, if nothing was.

    \b
    Examples:
      inpaint masks find color photo.jpg --set value=#ff8c1e -o m.png --preview look.jpg
      inpaint masks find object photo.jpg --box 120,80,200,150 --not 130,90 -o m.png
      inpaint masks find polygon photo.jpg --set points=10,10,200,30,120,90 -o m.png
    """
    from ..masks.find import find_mask_file

    places = {"box": box, "at": ",".join(at), "avoid": ",".join(avoid)}
    settings += tuple(f"{name}={place}" for name, place in places.items() if place)
    mask = find_mask_file(photo, kind, settings=settings, **options)
    notify(mask.summary)
    echo(mask.path)


@masks_command.command()
@click.argument("kind", required=False)
@json_option
def finders_command(kind: str | None, as_json: bool) -> None:
    """List what can be found in photos, and the settings.

    With KIND, only this finder. Settings, with their defaults here, are given as --find
    KIND:KEY=VALUE,KEY=VALUE, or to `inpaint masks find` as --set KEY=VALUE.
    """
    from ..masks.find import list_finders

    show_kinds(list_finders(kind), as_json)


@masks_command.command()
@click.argument("kind", required=False)
@json_option
def kinds_command(kind: str | None, as_json: bool) -> None:
    """List the generators of masks and their settings.

    With KIND, only this one. Settings, with their defaults here, are given to `inpaint masks gen`
    as --set KEY=VALUE, or in a recipe under `masks:`. Every generator also takes ratio and border.
    """
    from ..masks.generate import list_mask_kinds

    show_kinds(list_mask_kinds(kind), as_json)


def show_kinds(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print kinds of masks with their settings."""
    import json

    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{row['kind']:13} {row['summary']}")
        for name, default in row["settings"].items():
            setting = f"{name} = {json.dumps(default)}"
            echo(f"    {setting:30}  {row['descriptions'][name]}".rstrip())
