"""YAML with the line of every setting, so that an error can name it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from ..api.settings import Settings
from ..errors import PluginError, RecipeError, unknown_name
from ..files.plain_yaml import VALUE_ERRORS, load_yaml
from ..registry import load_plugin
from .schema import Named

Schema = TypeVar("Schema", bound=Settings)
KeyPath = tuple[Hashable, ...]


@dataclass(frozen=True)
class RecipeSource:
    """The origin of each setting: a line of a file, or an option of the command line."""

    path: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    files: dict[KeyPath, Path] = field(default_factory=dict)  # where it is not `path`
    overrides: dict[KeyPath, str] = field(default_factory=dict)  # "--set batch=4", "--masks m.zip"

    def error(self, where: KeyPath, text: str) -> RecipeError:
        """Return the error `text` about the setting at `where`, with its line or its option."""
        name = ".".join(map(str, where))
        for n in range(len(where), 0, -1):
            if option := self.overrides.get(where[:n]):
                return RecipeError(": ".join([option, *([name] if where[n:] else []), text]))
            if where[:n] in self.lines:
                file = self.files.get(where[:n])
                return self.error_at(self.lines[where[:n]], f"{name}: {text}", file)
        return self.error_at(1, f"{name}: {text}")

    def error_at(self, line: int, text: str, file: Path | None = None) -> RecipeError:
        """Return the error `text` about a line of the file."""
        path = file or self.path
        return RecipeError(f"{path}:{line}: {text}", path=path, line=line)

    def add_base(self, base: "RecipeSource") -> None:
        """Note the origin of the settings that come from the recipe `base`."""
        for key in base.lines.keys() - self.lines.keys():
            self.lines[key] = base.lines[key]
            self.files[key] = base.files.get(key, base.path)

    def check(self, schema: type[Schema], settings: Any, at: KeyPath = ()) -> Schema:
        """Return `settings` as a `schema`.

        Raises `RecipeError` with a line of text for each wrong setting; its `line` is the first's.
        """
        try:
            return schema.model_validate(settings)
        except ValidationError as error:
            problems = [
                self.error((*at, *e["loc"]), describe_problem(schema, e)) for e in error.errors()
            ]
        first, text = problems[0], "\n".join(dict.fromkeys(map(str, problems)))
        raise RecipeError(text, path=first.path, line=first.line)

    def plugin(self, group: str, named: Named, at: KeyPath) -> Any:
        """Return the plugin of `group` that `named` names, with its settings checked."""
        try:
            schema = load_plugin(group, named.kind)
        except PluginError as error:
            raise self.error((*at, "kind"), str(error)) from error
        return self.check(schema, named.model_extra, at)

    def override(self, settings: dict[str, Any], change: str) -> None:
        """Put the change "a.b=value" into `settings`. Raises `RecipeError` if it is malformed."""
        option = f"--set {change}"
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise RecipeError(f"{option}: write it as KEY=VALUE")
        *parents, leaf = key.split(".")
        for name in parents:
            inner = settings.get(name)
            if inner is None:
                inner = settings[name] = {}
            if not isinstance(inner, dict):
                raise RecipeError(f"{option}: '{name}' has no settings of its own")
            settings = inner
        try:
            settings[leaf] = load_yaml(value)
        except ValueError:
            raise RecipeError(f"{option}: the value is not YAML") from None
        except RecursionError:
            raise RecipeError(f"{option}: nested too deeply") from None
        self.note_option(tuple(key.split(".")), option)

    def replace_masks(self, settings: dict[str, Any], masks: Path) -> None:
        """Let the masks at `masks` be used, a folder or zip file (--masks).

        The holes keep the ratio and the border that the recipe asks for.
        """
        for key in ("masks", "val_masks"):
            old = settings.get(key)
            if old is None and key == "val_masks":
                continue
            rules = {rule: old[rule] for rule in ("ratio", "border") if rule in old} if old else {}
            settings[key] = {"kind": "files", "path": str(masks.resolve()), **rules}
            self.note_option((key,), f"--masks {masks}")

    def note_option(self, at: KeyPath, option: str) -> None:
        """Note that the setting `at`, with all that is in it, came from `option`."""
        for origins in (self.lines, self.overrides):
            for key in [key for key in origins if key[: len(at)] == at]:
                del origins[key]
        self.overrides[at] = option


class ArgumentSource(RecipeSource):
    """The origin of settings that are not in a file."""

    def error(self, where: KeyPath, text: str) -> RecipeError:
        return RecipeError(f"{self.path}: {'.'.join(map(str, where))}: {text}")


def describe_problem(schema: type[Settings], error: Mapping[str, Any]) -> str:
    """Return pydantic's message, or for an unknown key the one that was probably meant."""
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
    """Return the settings class in an annotation such as `dict[str, Stage]` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next(filter(None, map(settings_in, get_args(annotation))), None)


def read_yaml(path: Path, source: RecipeSource) -> dict[str, Any]:
    """Return the plain values of the YAML file at `path`, and note their lines in `source`.

    Nothing is executed, and aliases are refused, so that a small file cannot expand. Raises
    `RecipeError`.
    """
    try:
        node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}", path=path) from None
    except UnicodeDecodeError:
        raise source.error_at(1, "not a text file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise source.error_at(line, str(error.problem)) from None
    except yaml.YAMLError as error:
        raise source.error_at(1, str(error).splitlines()[0]) from None
    except RecursionError:
        raise source.error_at(1, "nested too deeply") from None
    values = node_values(node, source, set()) if node else {}
    if not isinstance(values, dict):
        raise source.error_at(1, "a recipe is a mapping such as `summary: ...`, not a list or "
                                 "a single value")  # fmt: skip
    return values


def node_values(node: yaml.Node, source: RecipeSource, seen: set[int], at: KeyPath = ()) -> Any:
    """Return the plain values of a YAML node, and note the line of each.

    Raises `RecipeError` for a key that occurs twice, and for an alias.
    """
    source.lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, *VALUE_ERRORS):
            raise source.error(at, f"'{node.value}' is not a value") from None
    if id(node) in seen:
        raise source.error(at, "aliases cannot be used; write the values out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise source.error(at, "a key must be a word")
            key = key_node.value
            if key in values:
                raise source.error((*at, key), "the key occurs twice")
            source.lines[(*at, key)] = key_node.start_mark.line + 1
            values[key] = node_values(value_node, source, seen, (*at, key))
        return values
    return [node_values(child, source, seen, (*at, n)) for n, child in enumerate(node.value)]
