import json

import click


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List, show, check and compare recipes."""
    if ctx.invoked_subcommand is None:
        from ..recipe import read, shelf

        found = {path.stem: read(path)[0] for path in sorted(shelf().glob("*.yaml"))}
        if as_json:
            rows = [
                {"name": name, "summary": recipe.summary, "architectures": [*recipe.architectures]}
                for name, recipe in found.items()
            ]
            click.echo(json.dumps(rows, indent=2))
            return
        for name, recipe in found.items():
            tuned = ", ".join(recipe.architectures)
            click.echo(f"{name:18}{recipe.summary}{f' ({tuned})' if tuned else ''}")


@command.command()
@click.argument("recipe")
@click.option("--arch", "architecture", help="Resolve it for this architecture.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
def show(recipe: str, architecture: str | None, overrides: tuple[str, ...]) -> None:
    """Print a recipe with every default written out."""
    from ..recipe import dump, find, read

    plan, source = read(find(recipe), overrides)
    if architecture:
        from ..engine.build import build

        plan = build(architecture, plan, source).recipe
    click.echo(dump(plan), nl=False)


@command.command()
@click.argument("recipes", nargs=-1, required=True)
@click.pass_context
def lint(ctx: click.Context, recipes: tuple[str, ...]) -> None:
    """Check recipes by the plugins they name, for each architecture that has a section."""
    from ..engine.build import check
    from ..errors import InpaintError
    from ..recipe import find, read

    wrong = 0
    for name in recipes:
        try:
            plan, source = read(find(name))
            check(plan, source)
        except InpaintError as error:
            click.echo(str(error))
            wrong += 1
    click.echo(f"{len(recipes) - wrong} of {len(recipes)} recipes are right", err=True)
    ctx.exit(1 if wrong else 0)


@command.command()
@click.argument("one")
@click.argument("other")
def diff(one: str, other: str) -> None:
    """Name the settings in which two recipes differ."""
    from ..recipe import differences, find, read

    left, right = (
        read(find(name))[0].model_dump(mode="json", by_alias=True) for name in (one, other)
    )
    for key, first, second in differences(left, right):
        click.echo(f"{key}: {first} -> {second}")
