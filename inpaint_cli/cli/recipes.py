import json

import click

from .types import echo, json_option

set_option = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting."
)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def recipes_command(ctx: click.Context, as_json: bool) -> None:
    """List, show, check and compare recipes."""
    ctx.default_map = {name: {"as_json": as_json} for name in recipes_command.commands}
    if ctx.invoked_subcommand is not None:
        return
    from ..recipe.read import list_recipes

    rows = list_recipes()
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        tuned = f" ({', '.join(row['architectures'])})" if row["architectures"] else ""
        echo(f"{row['name']:21}{row['summary']}{tuned}")


@recipes_command.command()
@click.argument("architecture", required=False)
@json_option
def keys_command(architecture: str | None, as_json: bool) -> None:
    """List the keys of recipes: type, default and description.

    With ARCHITECTURE also the settings of its network (model) and its losses (task).
    """
    from ..recipe.keys import list_recipe_keys

    rows = list_recipe_keys(architecture)
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        default = row["default"] if row["default"] == "required" else json.dumps(row["default"])
        echo(f"{row['key']}: {row['type']}, {default}\n    {row['description']}")


@recipes_command.command()
@click.argument("name", metavar="RECIPE")
@click.option("--arch", "architecture", help="Resolve it for this architecture.")
@set_option
@json_option
def show_command(
    name: str, architecture: str | None, changes: tuple[str, ...], as_json: bool
) -> None:
    """Print a recipe with every default."""
    from ..recipe.read import dump_recipe, open_recipe

    recipe, source = open_recipe(name, changes)
    if architecture:
        from ..training.build import resolve_training

        recipe = resolve_training(architecture, recipe, source)
    if as_json:
        echo(recipe.model_dump_json(by_alias=True, indent=2))
    else:
        echo(dump_recipe(recipe), nl=False)


@recipes_command.command()
@click.argument("names", metavar="RECIPES...", nargs=-1, required=True)
@json_option
@click.pass_context
def lint_command(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Check every setting of recipes, for each architecture that they name."""
    from ..errors import InpaintError
    from ..recipe.read import open_recipe
    from ..training.build import check_recipe

    errors: dict[str, str | None] = dict.fromkeys(names)
    for name in errors:
        try:
            check_recipe(*open_recipe(name))
        except InpaintError as error:
            errors[name] = str(error)
    wrong = [error for error in errors.values() if error]
    if as_json:
        rows = [{"recipe": name, "error": error} for name, error in errors.items()]
        echo(json.dumps(rows, indent=2))
    else:
        for error in wrong:
            echo(error)
    echo(f"{len(errors) - len(wrong)} of {len(errors)} recipes are valid", err=True)
    ctx.exit(1 if wrong else 0)


@recipes_command.command()
@click.argument("one")
@click.argument("other")
@json_option
def diff_command(one: str, other: str, as_json: bool) -> None:
    """List the settings in which two recipes differ."""
    from ..recipe.read import open_recipe, settings_differences

    left, right = (
        open_recipe(name)[0].model_dump(mode="json", by_alias=True) for name in (one, other)
    )
    differences = settings_differences(left, right)
    if as_json:
        rows = [{"key": key, "one": first, "other": second} for key, first, second in differences]
        echo(json.dumps(rows, indent=2))
        return
    for key, first, second in differences:
        echo(f"{key}: {first} -> {second}")
