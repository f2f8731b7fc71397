"""Read a recipe: YAML in, typed settings out, every error at its line."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import RecipeError, unknown_name
from .schema import Recipe
from .source import RecipeSource, apply_override, read_yaml


def recipes_dir() -> Path:
    """The recipes that ship with us: inside the wheel, or beside a checkout."""
    package = Path(__file__).parents[1]
    return next(d for d in (package / "recipes", package.parent / "recipes") if d.is_dir())


def find_recipe(name: str) -> Path:
    """The recipe `name`: a path, or the name of one on the shelf."""
    path = Path(name)
    if path.is_file():
        return path
    known = {p.stem: p for p in sorted(recipes_dir().glob("*.yaml"))}
    if path.suffix or path.stem not in known or path.parent != Path():
        raise RecipeError(unknown_name("recipe", name, known) + ", or give the path of a file")
    return known[name]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, RecipeSource]:
    """Read the recipe at `path`, with `overrides` such as "batch=4" laid over it."""
    source = RecipeSource(path)
    settings = read_yaml(path, source)
    for override in overrides:
        apply_override(settings, override, source)
    return source.check(Recipe, settings), source


def dump_recipe(recipe: Recipe) -> str:
    """`recipe` as YAML, all defaults written out; reading it gives an equal recipe."""
    settings = recipe.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None)


def settings_differences(one: Any, other: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys in which two trees of settings differ, with both values; None where one lacks it."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys((*one, *other)):
            name = f"{at}.{key}" if at else str(key)
            yield from settings_differences(one.get(key), other.get(key), name)
    elif one != other:
        yield at, one, other
