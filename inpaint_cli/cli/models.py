import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def models_command(as_json: bool) -> None:
    """List the models that fill can use.

    These are the architectures that need no weights, and the weights files in $INPAINT_WEIGHTS_DIR,
    in your own weights folder and in the package. Architectures without any weights so far are
    shown too, marked: give them some with --weights, or train them.
    """
    from ..models import choose as models

    choices, broken = models.list_models()
    if as_json:
        rows = [
            {
                "name": c.name,
                "architecture": c.architecture,
                "ready": c.ready,
                "licence": c.licence,
                "source": c.source,
                "weights": c.path and str(c.path),
                "values": c.values,
                "bytes": c.bytes,
            }
            for c in choices
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for c in choices:
            if c.path:
                held = f"{c.architecture}, {(c.bytes or 0) / 1e6:.1f} MB"
            else:
                held = (
                    "needs no weights" if c.ready else "needs weights: --weights FILE, or train it"
                )
            click.echo(f"{c.name:20} {held:44} {c.licence:12} {c.source}".rstrip())
        click.echo(f"named weights files lie in {models.weights_folders()[0]}", err=True)
    for reason in broken:
        click.echo(f"left out: {reason}", err=True)
