import click

from .types import json_option, print_json


@click.command()
@json_option
def models_command(as_json: bool) -> None:
    """List the models that fill can use.

    These are the fillers that need no weights, and the weights files in $INPAINT_WEIGHTS_DIR, in
    your own weights folder and in the package. Architectures without weights so far are listed
    too: give them some with --weights, or train them.
    """
    from ..models.choose import list_models, weights_folders

    models, broken = list_models()
    if as_json:
        print_json([model.to_dict() for model in models])
    else:
        for model in models:
            click.echo(
                f"{model.name:20} {model.status:44} {model.licence:12} {model.source}".rstrip()
            )
        click.echo(f"named weights files are in {weights_folders()[0]}", err=True)
    for reason in broken:
        click.echo(f"left out: {reason}", err=True)
