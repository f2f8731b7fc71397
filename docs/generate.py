"""Generate the reference from the program: `python docs/generate.py`, or `--check` in tests."""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

import inpaint_cli
import inpaint_cli.api
from inpaint_cli import registry
from inpaint_cli.api.stages import Stage
from inpaint_cli.cli import main as group
from inpaint_cli.recipe.schema import Recipe
from inpaint_cli.recipe.source import settings_in

FOLDER = Path(__file__).parent / "reference"
WIDTH = 88  # columns of a command's help


def every_command(command: click.Command, path: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the line of each command, and its help as the terminal shows it."""
    with click.Context(command, info_name=" ".join(path), terminal_width=WIDTH) as context:
        yield " ".join(path), command.get_help(context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None, name
                yield from every_command(inner, [*path, name])


def commands_page() -> str:
    parts = ["# Commands"]
    for line, text in every_command(group, ["inpaint"]):
        parts.append(f"## {line}\n\n```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts)


def type_text(annotation: Any) -> str:
    """Return a type as a reader of YAML would name it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(inner[0])
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " or ".join(type_text(part) for part in inner if part is not type(None))
    if origin in (tuple, list):
        return "list of " + type_text(inner[0])
    if origin is dict:
        return "mapping"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, "settings")


def recipe_keys(schema: type[BaseModel], before: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield each key with its type, its default and its description, however deep."""
    for name, field in schema.model_fields.items():
        key = f"{before}{field.alias or name}"
        inner = settings_in(field.annotation)
        default = field.get_default(call_default_factory=True)
        plain = isinstance(default, bool | int | float | str)
        shown = "required" if field.is_required() else f"`{default}`" if plain else ""
        yield key, type_text(field.annotation), shown, field.description or ""
        if inner and name not in ("architectures", "metrics"):
            yield from recipe_keys(inner, f"{key}.")


def recipes_page() -> str:
    rows = ["| " + " | ".join([f"`{key}`", *cells]) + " |" for key, *cells in recipe_keys(Recipe)]
    stage = ["| " + " | ".join([f"`{key}`", *cells]) + " |" for key, *cells in recipe_keys(Stage)]
    head = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    return "\n".join(
        [
            "# Recipe keys\n",
            "A recipe is a YAML file of these keys. Where a `kind` is named, the settings of that",
            "plugin stand beside it.\n",
            *head,
            *rows,
            "\nBelow `architectures.NAME.stages.STAGE`:\n",
            *head,
            *stage,
        ]
    )


def plugins_page() -> str:
    parts = ["# Plugins", "One entry-point group a kind: `inpaint.fillers` and so on."]
    for kind in registry.KINDS:
        rows = [f"## {kind}", "", "| name | |", "| --- | --- |"]
        for name in registry.find_plugins(kind):
            plugin = registry.load_plugin(kind, name)
            rows.append(f"| `{name}` | {(inspect.getdoc(plugin) or '').splitlines()[0]} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def signature_text(function: Any) -> str:
    """Return the arguments of a function as its source has them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    returns = f" -> {ast.unparse(tree.returns)}" if tree.returns else ""
    return f"({ast.unparse(tree.args)}){returns}"


def describe(name: str, thing: Any) -> str:
    """Return the section of one public name: its signature and its docstring."""
    function = inspect.isfunction(thing)
    signature = signature_text(inspect.unwrap(thing)) if function else ""
    text = inspect.getdoc(thing) if function or inspect.isclass(thing) else ""
    parts = [f"### {name}", f"```python\n{name}{signature}\n```"]
    return "\n\n".join(parts + ([f"```text\n{text}\n```"] if text else []))


def api_page() -> str:
    parts = ["# From Python", "## inpaint_cli", "Functions and classes for those who fill."]
    parts += [describe(name, getattr(inpaint_cli, name)) for name in inpaint_cli.__all__]
    parts += ["## inpaint_cli.api", "All that a plugin may import."]
    parts += [describe(name, getattr(inpaint_cli.api, name)) for name in inpaint_cli.api.__all__]
    return "\n\n".join(parts)


PAGES = {
    "commands.md": commands_page,
    "recipes.md": recipes_page,
    "plugins.md": plugins_page,
    "api.md": api_page,
}


def check_installed() -> None:
    """Stop where the installed names of plugins are not those of pyproject.toml."""
    text = (FOLDER.parents[1] / "pyproject.toml").read_text("utf-8")
    ours = {*re.findall(r'^([\w-]+) = "inpaint_plugins', text, re.MULTILINE)}
    known = {name for kind in registry.KINDS for name in registry.find_plugins(kind)}
    if missing := ours - known:
        sys.exit(f"not installed: {', '.join(sorted(missing))}; run `pip install -e .` again")


def main(check: bool) -> int:
    """Write the pages, or with `check` name those that are out of date."""
    check_installed()
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        text, path = page() + "\n", FOLDER / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, "utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'none'}")  # noqa: T201
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
