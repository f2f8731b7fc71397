from pathlib import Path
from typing import Any

import click

from .types import (
    backbone_options,
    echo,
    json_option,
    model_options,
    notify,
    overwrite_option,
    print_json,
)

EXISTING = click.Path(exists=True, path_type=Path)


def refuse_moved(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Name the command that has replaced an option of version 0.1."""
    if value:
        command = {"list": "inpaint protocols", "compare": "inpaint scores A B"}[param.name or ""]
        raise click.UsageError(f"--{param.name} is now a command of its own: {command}")


def moved_option(name: str) -> Any:
    return click.option(
        name, is_flag=True, hidden=True, is_eager=True, expose_value=False,
        callback=refuse_moved, help="Now a command of its own.",
    )  # fmt: skip


@click.command()
@click.argument(
    "paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RESULTS TRUTH|RECIPE]"
)
@click.option(
    "--masks",
    type=EXISTING,
    help="Masks of the photos, paired by name; needed for bins and scores of holes.",
)
@model_options
@click.option(
    "--data",
    type=EXISTING,
    help="Photos for the model to fill.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Split of RECIPE's data, such as test.  [default: its validation]",
)
@click.option(
    "--count", type=click.IntRange(1), metavar="N", help="Use only the first N photos of --data."
)
@click.option(
    "--set", multiple=True, metavar="KEY=VALUE", help="Change a setting of RECIPE; repeatable."
)
@click.option(
    "--resize",
    type=click.IntRange(1),
    metavar="SIDE",
    help="Resize each photo to SIDE x SIDE for the model, and its fill back.",
)
@click.option(
    "--pad",
    type=click.Choice(["constant", "edge"]),
    help="With --resize: resize the longer side only, and pad to the square with black, or with the"
    " edge.",
)
@click.option(
    "--protocol",
    default="house",
    show_default=True,
    metavar="NAME|FILE",
    help="Protocol: size, metrics, bins; `inpaint protocols` lists them.",
)
@click.option(
    "--features",
    type=click.Choice(["published", "random", "none"]),
    default="published",
    show_default=True,
    help="Weights of the networks in metrics such as FID: published, random (marked in the table),"
    " or none to skip these metrics.",
)
@backbone_options
@click.option("--beside", metavar="SET", help="Print the paper's results on this data set too.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write report.html, result.json, images.csv and worst.png to this folder.",
)
@overwrite_option
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    metavar="N",
    help="Number of images on worst.png.",
)
@click.option("--title", help="Title of the result; default: name of the folder or the model.")
@moved_option("--list")
@moved_option("--compare")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda, cuda:1, mps; auto: the first available of cuda, mps, cpu.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of fills, of masks drawn or assigned at random, and of confidence intervals.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    metavar="N",
    help="Size N x N of a model's photos, if the protocol does not fix it.",
)
@json_option
def eval_command(
    paths: tuple[Path, ...], model: Any, beside: str | None, as_json: bool, **options: Any
) -> None:
    """Measure fills by a named protocol.

    \b
    Examples:
      inpaint eval filled truth --masks masks -o scores
      inpaint eval --model telea --data photos --masks masks --features none
      inpaint eval --weights run/weights.safetensors --data faces recipes/faces-small.yaml
      torchrun --nproc-per-node 2 -m inpaint_cli eval filled truth --masks masks

    RESULTS is a folder of fills under the names of the photos in TRUTH; these, --data and --masks
    may also be zip files, tars, shards, tables or lists of paths. Files without a partner are
    listed, and nothing is resized. With --model or --weights, the model fills the photos of
    --data at the size of the protocol, else of --size, else of RECIPE; masks are those of --masks,
    or drawn as RECIPE says.

    `inpaint scores` compares two results.
    """
    named = model.name or model.weights
    inputs = model_inputs(model, paths) if named else folder_inputs(paths)
    from ..evaluation.evaluate import evaluate

    result = evaluate(**inputs, **options)
    if not result.main_process:
        return
    for note in result.notes:
        notify(note)
    if as_json:
        print_json(result.to_dict())
        return
    echo(f"{result.heading}\n{result.table}")
    for table in result.published(beside) if beside or not result.files else []:
        echo(f"\n{table}")
    for path in result.files:
        echo(path)


def model_inputs(model: Any, paths: tuple[Path, ...]) -> dict[str, Any]:
    """Return the arguments of `evaluate` for a model and at most a recipe."""
    if len(paths) > 1:
        raise click.UsageError("with a model give at most a RECIPE, and the photos as --data")
    return {"model": model, "recipe": next(iter(paths), None)}


def folder_inputs(paths: tuple[Path, ...]) -> dict[str, Any]:
    """Return the arguments of `evaluate` for two folders."""
    if len(paths) != 2:
        raise click.UsageError("give RESULTS and TRUTH, or --model or --weights with --data")
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"{path} does not exist")
    return {"results": paths[0], "truth": paths[1]}
