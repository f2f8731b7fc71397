import json

import click

from .types import json_option


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def recipes_command(ctx: click.Context, as_json: bool) -> None:
    """List, show, check and compare recipes."""
    ctx.default_map = {name: {"as_json": as_json} for name in recipes_command.commands}
    if ctx.invoked_subcommand is None:
        from ..recipe.read import read_recipe, recipes_dir

        found = {path.stem: read_recipe(path)[0] for path in sorted(recipes_dir().glob("*.yaml"))}
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


@recipes_command.command()
@click.argument("name", metavar="RECIPE")
@click.option("--arch", "architecture", help="Resolve it for this architecture.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@json_option
def show_command(
    name: str, architecture: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Print a recipe with every default written out."""
    from ..recipe.read import dump_recipe, find_recipe, read_recipe

    recipe, source = read_recipe(find_recipe(name), overrides)
    if architecture:
        from ..training.build import resolve_training

        recipe = resolve_training(architecture, recipe, source)
    if as_json:
        click.echo(recipe.model_dump_json(by_alias=True, indent=2))
    else:
        click.echo(dump_recipe(recipe), nl=False)


@recipes_command.command()
@click.argument("names", metavar="RECIPES...", nargs=-1, required=True)
@json_option
@click.pass_context
def lint_command(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Check recipes by the plugins they name, for each architecture that has a section."""
    from ..errors import InpaintError
    from ..recipe.read import find_recipe, read_recipe
    from ..training.build import check_recipe

    errors: dict[str, str | None] = dict.fromkeys(names)
    for name in errors:
        try:
            check_recipe(*read_recipe(find_recipe(name)))
        except InpaintError as error:
            errors[name] = str(error)
    wrong = [error for error in errors.values() if error]
    if as_json:
        rows = [{"recipe": name, "error": error} for name, error in errors.items()]
        click.echo(json.dumps(rows, indent=2))
    else:
        for error in wrong:
            click.echo(error)
    click.echo(f"{len(errors) - len(wrong)} of {len(errors)} recipes are right", err=True)
    ctx.exit(1 if wrong else 0)


@recipes_command.command()
@click.argument("one")
@click.argument("other")
@json_option
def diff_command(one: str, other: str, as_json: bool) -> None:
    """Name the settings in which two recipes differ."""
    from ..recipe.read import find_recipe, read_recipe, settings_differences

    left, right = (
        read_recipe(find_recipe(name))[0].model_dump(mode="json", by_alias=True)
        for name in (one, other)
    )
    found = settings_differences(left, right)
    if as_json:
        rows = [{"key": key, "one": first, "other": second} for key, first, second in found]
        click.echo(json.dumps(rows, indent=2))
        return
    for key, first, second in found:
        click.echo(f"{key}: {first} -> {second}")
