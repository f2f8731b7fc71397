"""Options that several commands share, and how the command line speaks to the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ..files.pictures import is_picture
from ..wording import printable

Command = TypeVar("Command", bound=Callable[..., object])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class PhotoPath(click.Path):
    """A photo, or - for stdin."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, allow_dash=True, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if os.path.isdir(value):
            self.fail(f"'{value}' is a folder; `inpaint infer` fills the photos in it", param, ctx)
        return super().convert(value, param, ctx)


class PhotoFolderPath(click.Path):
    """A folder, archive or list of photos."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if os.path.isfile(value) and is_picture(str(value)):
            self.fail(f"'{value}' is a photo; `inpaint fill` fills one", param, ctx)
        return super().convert(value, param, ctx)


def echo(text: object, *, err: bool = False, nl: bool = True) -> None:
    """Print a text; what a terminal would obey is escaped, but for other programs on stdout."""
    shown = printable(str(text)) if err or sys.stdout.isatty() else str(text)
    click.echo(shown, err=err, nl=nl)


def notify(sentence: str) -> None:
    """Say something to the user, on stderr, above any progress bar."""
    bars = sys.modules.get("tqdm")  # whose import takes longer than a small fill's work
    with bars.tqdm.external_write_mode() if bars else nullcontext():
        echo(sentence, err=True)


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout."""
    import json

    echo(json.dumps(value, indent=2, ensure_ascii=False))


class RegionType(click.ParamType):
    """A rectangle as x,y,width,height in pixels from the top left."""

    name = "X,Y,W,H"

    def convert(self, value, param, ctx) -> tuple[int, int, int, int]:
        if isinstance(value, tuple):
            return value
        try:
            x, y, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"'{value}' is not x,y,width,height in whole pixels", param, ctx)
        if width < 1 or height < 1:
            self.fail(f"'{value}' has no width or no height", param, ctx)
        return x, y, width, height


class SidesType(click.ParamType):
    """Margins as left,top,right,bottom, each in pixels or percent."""

    name = "L,T,R,B"

    def convert(self, value, param, ctx) -> tuple[int | str, ...]:
        if isinstance(value, tuple):
            return value
        from ..errors import InpaintError
        from ..filling.options import HoleOptions

        sides = tuple(part.strip() for part in value.split(","))
        try:
            HoleOptions(extend=sides)
        except InpaintError as error:
            self.fail(str(error), param, ctx)
        return tuple(int(side) if side.isdecimal() else side for side in sides)


class PercentType(click.ParamType):
    """A percentage, "5" or "5%", as a share above 0 and up to 1."""

    name = "percent"

    def convert(self, value, param, ctx) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(value.rstrip("% ")) / 100
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            self.fail(f"'{value}' is not a percentage above 0 and up to 100", param, ctx)
        return share


class MaskType(click.ParamType):
    """A file or folder of masks, or the word alpha."""

    name = "mask"

    def convert(self, value, param, ctx) -> str:
        if value != "alpha" and not os.path.exists(value):
            self.fail(f"there is no file '{value}'", param, ctx)
        return value


def add_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds `options`, in this order of the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Overwrite existing files of these names."
)
quality_option = click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Quality of JPEG, WebP, AVIF and HEIC, 1 to 100.  [default: a JPEG's own, else 95]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def model_options(command: Command) -> Command:
    """Add --model, --weights, --download; the command is given one `model`, a `ModelRef`."""

    @wraps(command)
    def with_model(
        *args: Any, model: str | None, weights: str | None, download: bool, **options: Any
    ) -> object:
        from ..models.choose import ModelRef

        return command(*args, model=ModelRef(model, weights, download), **options)

    return add_options(
        click.option(
            "--model", metavar="NAME", help="Fill with this model; `inpaint models` lists them."
        ),
        click.option(
            "--weights",
            metavar="FILE",
            help="Fill with this weights file (ours, LaMa's, MAT's), or with that of the repository"
            " hf:OWNER/NAME[@REVISION] of the Hub.",
        ),
        click.option(
            "--download", is_flag=True, help="Fetch the model first where it is not here."
        ),
    )(with_model)  # pyright: ignore[reportReturnType]


def mask_option(name: str, metavar: str, help: str) -> Callable[[Command], Command]:
    """Return the option `name` for masks; with `hole_options` one of both must be given."""
    return click.option(name, "mask", metavar=metavar, type=MaskType(), help=help)


HOLE_OPTIONS = add_options(
    click.option(
        "--region",
        "regions",
        type=RegionType(),
        multiple=True,
        help="A rectangle to fill: x,y,width,height in pixels; repeatable, with or without a mask.",
    ),
    click.option(
        "--extend",
        type=SidesType(),
        default=(),
        help="Widen the canvas by left,top,right,bottom, in pixels or percent, and fill the margin;"
        " with or without a mask, which is of the photo as it was.",
    ),
    click.option(
        "--find",
        multiple=True,
        metavar="KIND[:KEY=VALUE,...]",
        help="Find the hole in the photo itself: text, scratches, color:value=#ff8c1e; repeatable,"
        " with or without a mask. `inpaint masks finders` lists what can be found.",
    ),
    click.option(
        "--find-limit",
        type=PercentType(),
        metavar="PERCENT",
        help="Refuse what a finder found if it is a larger share of the photo.  [default: the"
        " finder's own, 25 % for most]",
    ),
    click.option("--mask-invert", "invert", is_flag=True, help="Black marks the hole."),
    click.option(
        "--mask-threshold",
        "threshold",
        type=click.IntRange(1, 255),
        metavar="N",
        help="Mask levels of N and above (1 to 255) are the hole; with `alpha`, opacity below N."
        "  [default: 128, or the upper of two levels, and what looks like no mask is refused; with"
        " `alpha` 255]",
    ),
    click.option(
        "--mask-resize",
        "resize",
        is_flag=True,
        help="Resize the mask to the photo if the aspect ratios match.",
    ),
    click.option(
        "--grow",
        type=int,
        metavar="N",
        default=0,
        help="Grow the hole by N pixels on all sides; negative shrinks it.",
    ),
    click.option(
        "--feather",
        type=click.IntRange(0),
        metavar="N",
        default=0,
        help="Blend the fill into the photo over N pixels, inside the band that --grow adds (N"
        " pixels if --grow is not given).",
    ),
)


def hole_options(command: Command) -> Command:
    """Add what marks the hole besides a mask: keywords of `fill`."""

    @wraps(command)
    def with_hole(*args: Any, mask: str | None, **options: Any) -> object:
        if options.get("from_card") is not None:
            return command(*args, mask=mask, **options)
        if mask is None and not any(options[name] for name in ("regions", "extend", "find")):
            raise click.UsageError(
                "say where the hole is: give a mask, --region X,Y,W,H, --find KIND or"
                " --extend L,T,R,B"
            )
        for name in ("invert", "resize", *(["threshold"] if mask is None else [])):
            if options[name] and mask in (None, "alpha"):
                raise click.UsageError(
                    f"--mask-{name} is for a mask file; give one, or leave it out"
                )
        return command(*args, mask=mask, **options)

    return HOLE_OPTIONS(with_hole)  # pyright: ignore[reportReturnType]


run_options = add_options(
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="The same seed gives the same picture.",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="cpu, cuda, cuda:1, mps; auto: the first available of cuda, mps, cpu. For networks.",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "full", "bf16", "fp16"]),
        help="bf16 on CUDA if the model supports it, otherwise full. For networks.",
    ),
    click.option(
        "--window",
        type=click.IntRange(16),
        metavar="N",
        help="Show the model at most N x N pixels at once.  [default: what it is made for]",
    ),
)


def backbone_options(command: Command) -> Command:
    """Add --weights-dir and --offline, which `files.pretrained` reads from the environment."""

    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            name = f"INPAINT_{param.name}".upper()
            os.environ[name] = "1" if value is True else str(value)

    return add_options(
        click.option(
            "--weights-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            expose_value=False,
            callback=remember,
            help="Folder of published backbones such as VGG or Inception.",
        ),
        click.option(
            "--offline",
            is_flag=True,
            expose_value=False,
            callback=remember,
            help="Never download them.",
        ),
    )(command)
