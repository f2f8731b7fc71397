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


def recipe_files() -> dict[str, Path]:
    """Return the built-in recipes by name: those of `recipes` and of the papers' ablations."""
    return {path.stem: path for path in sorted(recipes_dir().rglob("*.yaml"))}


def list_recipes() -> list[dict[str, Any]]:
    """Return name, summary and tuned architectures of each built-in recipe.

    >>> [row["name"] for row in list_recipes()][:2]
    ['celeba', 'celebahq']
    """
    rows = []
    for _, path in sorted(recipe_files().items()):
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
    known = recipe_files()
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
    settings = read_settings(path, source)
    if masks is not None:
        source.replace_masks(settings, masks)
    for change in changes:
        source.override(settings, change)
    return source.check(Recipe, settings), source


def read_settings(path: Path, source: RecipeSource, above: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the plain values of a recipe, laid over those of its base. Raises `RecipeError`."""
    settings = read_yaml(path, source)
    base = settings.pop("base", None)
    if base is None:
        return settings
    beside = path.parent / str(base)
    try:
        file = beside if beside.is_file() else find_recipe(str(base))
    except RecipeError as error:
        raise source.error(("base",), str(error)) from error
    if file.resolve() in above:
        raise source.error(("base",), f"{file} is based on this recipe; break the circle")
    below = RecipeSource(file)
    values = read_settings(file, below, [*above, path.resolve()])
    source.add_base(below)
    return lay_over(values, settings)


def lay_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with every setting of `above`, at any depth.

    A plugin of another kind takes over nothing, and null leaves out a section.
    """
    values = below | above
    for key, over in above.items():
        under = below.get(key)
        if isinstance(under, dict) and over is None:
            del values[key]
        elif isinstance(under, dict) and isinstance(over, dict):
            same = under.get("kind") == over.get("kind", under.get("kind"))
            values[key] = lay_over(under, over) if same else over
    return values


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
