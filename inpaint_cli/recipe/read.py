"""Read and write recipes, and compare them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import RecipeError, unknown_name
from .schema import Recipe
from .source import RecipeSource, read_yaml


def recipes_dir() -> Path:
    """Return the folder of the built-in recipes: in the wheel, or beside the package."""
    package = Path(__file__).parents[1]
    return next(d for d in (package / "recipes", package.parent / "recipes") if d.is_dir())


def list_recipes() -> list[dict[str, Any]]:
    """Return name, summary and tuned architectures of each built-in recipe.

    >>> [row["name"] for row in list_recipes()][:2]
    ['celeba', 'celebahq']
    """
    rows = []
    for path in sorted(recipes_dir().glob("*.yaml")):
        recipe, _ = read_recipe(path)
        architectures = [*recipe.architectures]
        rows.append({"name": path.stem, "summary": recipe.summary, "architectures": architectures})
    return rows


def find_recipe(name: str) -> Path:
    """Return the path of the recipe `name`: a path, or the name of a built-in recipe.

    Raises `RecipeError` if there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = {p.stem: p for p in sorted(recipes_dir().glob("*.yaml"))}
    if path.suffix or path.stem not in known or path.parent != Path():
        raise RecipeError(unknown_name("recipe", name, known) + ", or give the path of a file")
    return known[name]


def read_recipe(
    path: Path, changes: Sequence[str] = (), *, masks: Path | None = None
) -> tuple[Recipe, RecipeSource]:
    """Read the recipe at `path`, with `changes` such as "batch=4", and `masks` in place of its own.

    Raises `RecipeError`, which names the line or the change at fault.
    """
    source = RecipeSource(path)
    settings = read_yaml(path, source)
    if masks is not None:
        source.replace_masks(settings, masks)
    for change in changes:
        source.override(settings, change)
    return source.check(Recipe, settings), source


def open_recipe(
    recipe: str | Path, changes: Sequence[str] = (), masks: str | Path | None = None
) -> tuple[Recipe, RecipeSource]:
    """Read the recipe of this path or name. Raises `RecipeError` as the functions above do."""
    return read_recipe(find_recipe(str(recipe)), changes, masks=Path(masks) if masks else None)


def dump_recipe(recipe: Recipe) -> str:
    """Return `recipe` as YAML with every default; reading it gives an equal recipe."""
    settings = recipe.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None)


def settings_differences(one: Any, other: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each key in which two trees of settings differ, and both values (None without one)."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys((*one, *other)):
            name = f"{at}.{key}" if at else str(key)
            yield from settings_differences(one.get(key), other.get(key), name)
    elif one != other:
        yield at, one, other
