import os

import click

from .types import echo, json_option, notify, print_json


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models_command(ctx: click.Context, as_json: bool) -> None:
    """List, fetch and remove the models that fill can use.

    The list has the fillers that need no weights, the weights files in $INPAINT_WEIGHTS_DIR, in
    your own folders and in the package, published models that `get` fetches, and architectures
    without weights so far: give them some with --weights, or train them.
    """
    if ctx.invoked_subcommand:
        return
    from ..models.choose import list_models, weights_folders

    models, broken = list_models()
    if as_json:
        print_json([model.to_dict() for model in models])
    else:
        for model in models:
            echo(f"{model.name:20} {model.status:47} {model.licence:12} {model.source}".rstrip())
        echo(f"named weights files are in {weights_folders()[0]}", err=True)
    for reason in broken:
        echo(f"left out: {reason}", err=True)


@models_command.command()
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """Show a model or an architecture: what it needs, its licence, and the paper to cite."""
    from ..models.choose import describe_model

    model, citation = describe_model(name)
    if as_json:
        print_json({**model.to_dict(), "citation": citation})
        return
    facts = {
        "": model.summary,
        "state": model.status,
        "licence": model.licence,
        "source": model.source,
        "file": model.path,
    }
    echo(model.name)
    for key, value in facts.items():
        if value:
            echo(f"{key + ':' if key else '':9}{value}")
    if citation:
        echo(f"\n{citation}")


@models_command.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="FOLDER|URL",
    help="A folder with its files, or a mirror of them.  [default: where they were published]",
)
@click.option("--offline", is_flag=True, help="Download nothing: look on this machine alone.")
def get_command(name: str, source: str | None, offline: bool) -> None:
    """Fetch a published model, and verify it.

    A download that was cut goes on where it was. Files that other programs keep in the caches of
    torch hub or Hugging Face are used where they are.

    \b
    Examples:
      inpaint models get big-lama
      inpaint models get big-lama --from /media/stick
      inpaint fill photo.jpg --mask mask.png --model big-lama
    """
    from ..models.catalogue import get_model, read_model

    if offline:
        os.environ["INPAINT_OFFLINE"] = "1"
    path = get_model(name, source, notify=notify)
    model = read_model(name)
    notify(f"{name}: {model.terms}")
    if model.needs:
        notify(f"{name} needs a package of its own: pip install {model.needs}")
    echo(path)


@models_command.command()
@click.argument("name")
def rm_command(name: str) -> None:
    """Delete what was fetched of a published model.

    Files in the caches of other programs, and files that are not the published ones, stay.
    """
    from ..models.catalogue import remove_model

    for path in remove_model(name):
        echo(f"deleted {path}", err=True)
