import json
from pathlib import Path

import click

from .types import echo


def parse_notes(
    ctx: click.Context, param: click.Parameter, notes: tuple[str, ...]
) -> dict[str, str]:
    if not all("=" in note for note in notes):
        raise click.UsageError("--note takes KEY=TEXT, such as licence='research only'")
    return dict(note.split("=", 1) for note in notes)


notes_option = click.option(
    "--note",
    "notes",
    multiple=True,
    metavar="KEY=TEXT",
    callback=parse_notes,
    help="Into the header.",
)
overwriting = click.option("--overwrite", is_flag=True, help="Replace the output where it exists.")


@click.group()
def weights_command() -> None:
    """Inspect weights files, and choose what `fill` uses.

    A weights file says itself which architecture and settings it is for. Files in the folder
    that `inpaint weights use --help` names can be called by their names, without path or suffix.
    """


@weights_command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def inspect_command(file: Path, as_json: bool) -> None:
    """Say what a weights file holds, without building its network."""
    from ..models import choose as models
    from ..models import weights

    contents = weights.inspect_weights(models.locate_weights(file))
    types = sorted({kind for kind, _ in contents.tensors.values()})
    facts = {
        "file": str(contents.path),
        "bytes": contents.bytes,
        "tensors": len(contents.tensors),
        "values": contents.values,
        "types": types,
        "header": dict(contents.header),
    }
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    echo(f"{contents.path}: {contents.bytes / 1e6:.1f} MB")
    echo(f"{len(contents.tensors)} tensors, {contents.values:,} values, {', '.join(types)}")
    if not contents.ours:
        echo("no header of inpaint: written by another program")
    for key, value in contents.header.items():
        echo(f"{key + ':':14} {value}")


@weights_command.command()
@click.argument("choice", metavar="NAME|FILE", required=False)
@click.option("--none", "forget", is_flag=True, help="Choose nothing again.")
def use_command(choice: str | None, forget: bool) -> None:
    """Choose what `fill` uses when no model is named.

    NAME is anything that `inpaint models` lists. $INPAINT_WEIGHTS, where it is set, comes first.
    """
    from ..models import choose as models

    if (choice is None) != forget:
        raise click.UsageError("say either NAME|FILE or --none")
    models.store_choice(choice)
    echo(f"fill uses {models.stored_choice() or models.DEFAULT_MODEL} from now on", err=True)


@weights_command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to", "architecture", required=True, help="The architecture whose weights they are."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: FILE.safetensors.")
@overwriting
@click.option("--json", "as_json", is_flag=True, help="Print where every tensor went, as JSON.")
def convert_command(
    file: Path, architecture: str, output: Path | None, overwrite: bool, as_json: bool
) -> None:
    """Turn the authors' own checkpoint into weights of ours.

    Nothing in the file is executed. What has no use for filling, such as a critic, is left out and
    named.
    """
    from ..files.write import check_free
    from ..models.convert import convert_checkpoint

    output = output or file.with_suffix(".safetensors")
    if output.resolve() == file.resolve():
        raise click.UsageError(f"{file} would be replaced; name another file with -o")
    check_free(output, overwrite=overwrite)
    done = convert_checkpoint(file, architecture, output)
    if as_json:
        echo(json.dumps({"output": str(output), **done.facts()}, indent=2))
        return
    echo(f"{architecture}: {done.settings!r}", err=True)
    echo(f"{done.kept} of {done.kept + len(done.dropped)} tensors kept", err=True)
    for group, count in done.groups().items():
        echo(f"dropped {group}.*: {count} tensors", err=True)
    echo(output)


@weights_command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The copy to write."
)
@click.option("--half", is_flag=True, help="Store 16 bits a number: half as large.")
@click.option("--onnx", is_flag=True, help="Write an ONNX file, which fills without torch.")
@notes_option
@overwriting
def export_command(
    file: Path, output: Path, half: bool, onnx: bool, notes: dict[str, str], overwrite: bool
) -> None:
    """Copy weights to give them away: smaller, as ONNX, and with notes such as their licence.

    An ONNX file is compared with the network on random photos before it is kept.
    """
    from ..files.write import check_free
    from ..models import choose as models
    from ..models import weights

    if onnx and half:
        raise click.UsageError("an ONNX file has 32 bits a number: leave out --half")
    check_free(output, overwrite=overwrite)
    if onnx:
        from ..models.export import export_onnx

        file_made = export_onnx(models.locate_weights(file), output, notes=notes)
        size = f"{file_made.bytes / 1e6:.1f} MB"
        click.echo(f"{output}: {size}, fills within {file_made.difference:.1g} of the network")
        return
    made = weights.export_weights(models.locate_weights(file), output, half=half, notes=notes)
    echo(f"{made.path}: {made.bytes / 1e6:.1f} MB")


@weights_command.command()
@click.argument("weights", metavar="WEIGHTS|RUN", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to make."
)
@click.option(
    "--scores",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A folder of `inpaint eval -o`, or its result.json, for scores and a sheet; repeatable.",
)
@click.option(
    "--repository", metavar="OWNER/NAME", default="", help="What readers of the card are to name."
)
@notes_option
@click.option("--no-sheet", is_flag=True, help="Leave out the sheet of photos.")
@overwriting
def publish_command(
    weights: Path,
    output: Path,
    scores: tuple[Path, ...],
    repository: str,
    notes: dict[str, str],
    no_sheet: bool,
    overwrite: bool,
) -> None:
    """Make the folder that you upload to share weights; nothing is uploaded.

    It holds the weights, a card (README.md) that says what they were trained on, how well they do
    and how they are used, the scores as JSON, and a sheet of fills where there is one. Of the
    folder of a training the best weights are taken. What it is uploaded to, others name with
    --weights hf:OWNER/NAME.

    \b
    Examples:
      inpaint weights publish runs/lama-places -o to-share --scores eval --repository me/rooms \\
        --note licence=CC0-1.0 --note trained_on='photos of rooms that we took'
      hf upload me/rooms to-share
    """
    from ..sharing import publish_weights

    made = publish_weights(
        weights,
        output,
        scores=scores,
        repository=repository,
        notes=notes,
        sheet=not no_sheet,
        overwrite=overwrite,
    )
    for note in made.notes:
        echo(note, err=True)
    for path in made.files:
        echo(path)
