"""What several commands ask for in the same words."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..filling.options import FillOptions

Command = TypeVar("Command", bound=Callable[..., object])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_OR_DASH = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


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


def model_options(command: Command) -> Command:
    """--model and --weights, as `open_model` takes them."""
    for option in (
        click.option(
            "--weights", metavar="FILE", help="Fill with this weights file (ours, LaMa's, MAT's)."
        ),
        click.option(
            "--model", metavar="NAME", help="Fill with this model; `inpaint models` lists them."
        ),
    ):
        command = option(command)
    return command


def hole_options(command: Command) -> Command:
    """Where the hole is, besides a mask file, and how that is read: fields of `Options`."""
    for option in (
        click.option(
            "--feather",
            type=click.IntRange(0),
            metavar="N",
            default=0,
            help="Blend the fill into the photo over N pixels, inside the band that --grow adds (N"
            " pixels if --grow is not given).",
        ),
        click.option(
            "--grow",
            type=int,
            metavar="N",
            default=0,
            help="Make the hole larger by N pixels all around; smaller where N is negative.",
        ),
        click.option(
            "--mask-resize",
            "resize",
            is_flag=True,
            help="Let a mask of another size be stretched to the photo's, if its shape agrees.",
        ),
        click.option(
            "--mask-threshold",
            "threshold",
            type=click.IntRange(1, 255),
            default=128,
            show_default=True,
            metavar="N",
            help="Mask levels of N and above (1 to 255) are the hole.",
        ),
        click.option("--mask-invert", "invert", is_flag=True, help="Black marks the hole."),
        click.option(
            "--region",
            "regions",
            type=RegionType(),
            multiple=True,
            help="A rectangle that is hole, in pixels from the top left; may be given several"
            " times, with or without a mask.",
        ),
    ):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """How a model is run: the other fields of `Options`."""
    for option in (
        click.option(
            "--window",
            type=click.IntRange(16),
            metavar="N",
            help="Show the model at most N x N pixels at once.  [default: what it is made for]",
        ),
        click.option(
            "--precision",
            default="auto",
            show_default=True,
            type=click.Choice(["auto", "full", "bf16", "fp16"]),
            help="auto: bf16 on CUDA where the model is sound in it, else full.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            metavar="NAME",
            help="cpu, cuda, cuda:1, mps; auto: the first of cuda, mps, cpu that is there.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="N",
            help="The same seed gives the same picture.",
        ),
    ):
        command = option(command)
    return command


def backbone_options(command: Command) -> Command:
    """--weights-dir and --offline, for `pretrained`, which looks into the environment."""

    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            name = f"INPAINT_{param.name}".upper()
            os.environ[name] = "1" if value is True else str(value)

    for option in (
        click.option(
            "--offline",
            is_flag=True,
            expose_value=False,
            callback=remember,
            help="Never download them.",
        ),
        click.option(
            "--weights-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            expose_value=False,
            callback=remember,
            help="Where published backbones such as VGG or Inception lie.",
        ),
    ):
        command = option(command)
    return command


def fill_options(given: Mapping[str, Any], name: str, mask: str | None) -> FillOptions:
    """What `hole_options` and `run_options` were given, and the `mask` that the option `name` was.

    Feathering needs a band to do it in.
    """
    from ..filling.options import FillOptions

    alpha = mask == "alpha"
    if mask is None and not given["regions"]:
        raise click.UsageError(
            f"say where the hole is: {name} FILE, {name} alpha or --region X,Y,W,H"
        )
    if given["invert"] and (alpha or mask is None):
        raise click.UsageError("--mask-invert is for a mask file; give one, or leave it out")
    return FillOptions(**{**given, "alpha": alpha, "grow": given["grow"] or given["feather"]})


def mask_path(name: str, mask: str | None) -> Path | None:
    """The file or folder that the option `name` was given, if it was one."""
    if mask is None or mask == "alpha":
        return None
    if not (path := Path(mask)).exists():
        raise click.BadParameter(f"there is no file '{mask}'", param_hint=f"'{name}'")
    return path
