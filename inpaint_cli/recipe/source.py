"""YAML with the line of every setting, so that each error can point there."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import (
    ValidationError,
)

from ..api.settings import Settings
from ..errors import PluginError, RecipeError, unknown_name
from ..registry import load_plugin
from .schema import Named

Schema = TypeVar("Schema", bound=Settings)
KeyPath = tuple[Hashable, ...]


@dataclass(frozen=True)
class RecipeSource:
    """Where settings were read from, so that an error can point there."""

    path: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    laid: dict[KeyPath, str] = field(default_factory=dict)  # what --set laid over the file

    def error(self, where: KeyPath, text: str) -> RecipeError:
        """The error `text` about the setting at `where`, with the line that holds it."""
        name = ".".join(map(str, where))
        for n in range(len(where), 0, -1):
            if where[:n] in self.laid:
                return RecipeError(f"--set {self.laid[where[:n]]}: {name}: {text}")
            if where[:n] in self.lines:
                return RecipeError(f"{self.path}:{self.lines[where[:n]]}: {name}: {text}")
        return RecipeError(f"{self.path}:1: {name}: {text}")

    def check(self, schema: type[Schema], settings: Any, at: KeyPath = ()) -> Schema:
        """Make `settings` a `schema`, or say at which lines it is wrong."""
        try:
            return schema.model_validate(settings)
        except ValidationError as error:
            told = dict.fromkeys(
                str(self.error((*at, *e["loc"]), setting_problem(schema, e)))
                for e in error.errors()
            )
            raise RecipeError("\n".join(told)) from None

    def plugin(self, group: str, asked: Named, at: KeyPath) -> Any:
        """The plugin of `group` that `asked` names, its settings checked; errors have lines."""
        try:
            schema = load_plugin(group, asked.kind)
        except PluginError as error:
            raise self.error((*at, "kind"), str(error)) from error
        return self.check(schema, asked.model_extra, at)


def setting_problem(schema: type[Settings], error: Any) -> str:
    """What is wrong, in words: pydantic's own, or for an unknown key which was meant."""
    if error["type"] != "extra_forbidden":
        message = error["msg"].removeprefix("Value error, ")
        return message[0].lower() + message[1:]
    *parents, name = error["loc"]
    owner: type[Settings] | None = schema
    for parent in parents:
        inner = owner.model_fields.get(str(parent)) if owner else None
        owner = settings_in(inner.annotation) if inner else owner
    return unknown_name("setting", str(name), owner.model_fields if owner else ())


def settings_in(annotation: Any) -> type[Settings] | None:
    """The settings class that an annotation such as `dict[str, Stage]` or `X | None` names."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next(filter(None, map(settings_in, get_args(annotation))), None)


def read_yaml(path: Path, source: RecipeSource) -> dict[str, Any]:
    """The plain values of the YAML file at `path`; safe, and bounded by the file's own size."""
    try:
        node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}:1: not a text file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{path}:{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}:1: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise RecipeError(f"{path}:1: nested too deeply") from None
    values = node_values(node, source, set()) if node else {}
    if not isinstance(values, dict):
        wanted = "a recipe is a mapping such as `summary: ...`, not a list or a single value"
        raise RecipeError(f"{path}:1: {wanted}")
    return values


def apply_override(settings: dict[str, Any], override: str, source: RecipeSource) -> None:
    """Put "a.b=value" into `settings`."""
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise RecipeError(f"--set {override}: write it as KEY=VALUE")
    *parents, leaf = key.split(".")
    for name in parents:
        inner = settings.get(name)
        if inner is None:
            inner = settings[name] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: '{name}' has no settings of its own")
        settings = inner
    try:
        settings[leaf] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise RecipeError(f"--set {override}: the value is not YAML") from None
    except RecursionError:
        raise RecipeError(f"--set {override}: nested too deeply") from None
    source.laid[tuple(key.split("."))] = override


def node_values(node: yaml.Node, source: RecipeSource, seen: set[int], at: KeyPath = ()) -> Any:
    """Turn a YAML node into plain values, noting the line of each, refusing doubled keys."""
    source.lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise source.error(at, f"'{node.value}' is not a value") from None
    if id(node) in seen:
        raise source.error(at, "an alias; write the values out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise source.error(at, "a key must be a word")
            key = key_node.value
            if key in values:
                raise source.error((*at, key), "given twice")
            source.lines[(*at, key)] = key_node.start_mark.line + 1
            values[key] = node_values(value_node, source, seen, (*at, key))
        return values
    return [node_values(child, source, seen, (*at, n)) for n, child in enumerate(node.value)]
