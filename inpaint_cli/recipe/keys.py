"""List the keys of recipes with their types, defaults and descriptions."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ..api.settings import Settings
from ..registry import load_plugin
from .schema import Named, Recipe
from .source import settings_in

PLACEHOLDERS = {"architectures": "ARCHITECTURE", "stages": "STAGE", "optimizers": "PHASE"}


def list_recipe_keys(architecture: str | None = None) -> list[dict[str, Any]]:
    """Return all keys of recipes: {key, type, default, description}.

    With `architecture` also the settings of its network and its task. Raises `PluginError` for an
    unknown architecture.

    >>> [row["default"] for row in list_recipe_keys() if row["key"] == "data.size"]
    [256]
    """
    if architecture is None:
        return list(walk_settings(Recipe))
    plugin = load_plugin("architectures", architecture)
    schemas = {"model": plugin.settings, "task": plugin.task and plugin.task.settings}
    rows = []
    for row in walk_settings(Recipe):
        key = row["key"].replace("ARCHITECTURE", architecture)
        schema = schemas.get(key.removeprefix(f"architectures.{architecture}."))
        rows += walk_settings(schema, f"{key}.") if schema else [row | {"key": key}]
    return rows


def walk_settings(schema: type[Settings], prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield a row for each field of `schema`, and for those of the settings nested in it."""
    for name, field in schema.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = settings_in(field.annotation)
        if inner is None or issubclass(inner, Named):
            yield {
                "key": key,
                "type": type_text(field.annotation),
                "default": plain_default(field),
                "description": field.description or "",
            }
        elif get_origin(field.annotation) is dict:
            yield from walk_settings(inner, f"{key}.{PLACEHOLDERS.get(name, 'NAME')}.")
        else:
            yield from walk_settings(inner, f"{key}.")


def plain_default(field: FieldInfo) -> Any:
    """Return the default of a field as plain values; "required" if it has none."""
    if field.is_required():
        return "required"
    return TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")


def type_text(annotation: Any) -> str:
    """Return a type as readers of YAML know it.

    >>> type_text(tuple[float, float] | None), type_text(Literal["fast", "exact"])
    ('[float, float] | null', 'fast | exact')
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin is Annotated:  # a type and its bounds
        return type_text(parts[0])
    if origin is tuple:
        return f"[{', '.join('...' if part is Ellipsis else type_text(part) for part in parts)}]"
    if origin is dict:
        return f"{{name: {type_text(parts[1])}}}"
    if parts:
        return " | ".join(map(type_text, parts))
    if isinstance(annotation, type) and issubclass(annotation, Named):
        return "{kind: name, ...}"
    return "any" if annotation is Any else annotation.__name__.lower()
