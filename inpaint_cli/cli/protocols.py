import click

from .types import echo, json_option, print_json


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def protocols_command(ctx: click.Context, as_json: bool) -> None:
    """List and show the protocols of `inpaint eval`.

    A protocol fixes everything that a score depends on: the size of the images, the bins of hole
    ratios, the metrics and their settings.
    """
    ctx.default_map = {"show": {"as_json": as_json}}
    if ctx.invoked_subcommand is not None:
        return
    from ..evaluation.protocols import list_protocols

    summaries = list_protocols()
    if as_json:
        rows = [{"name": name, "summary": summary} for name, summary in summaries.items()]
        print_json(rows)
        return
    for name, summary in summaries.items():
        echo(f"{name:16}{summary}")


@protocols_command.command("show")
@click.argument("name", metavar="PROTOCOL")
@json_option
def show_protocol_command(name: str, as_json: bool) -> None:
    """Print all conventions of a protocol, every default written out.

    PROTOCOL is a name that `inpaint protocols` lists, or a YAML file. Two results are comparable
    if their fingerprints are equal.
    """
    import yaml

    from ..evaluation.protocols import show_protocol

    content = show_protocol(name)
    if as_json:
        print_json(content)
    else:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        echo(text, nl=False)
