"""Find plugins by name, and import one only when it is asked for.

A kind is an entry-point group: `inpaint.architectures`, `inpaint.masks`, ... Built-in plugins
come in through the same door as anyone else's. Names are read from package metadata, so that
listing imports nothing; only this module knows the `entrypoints` package.
"""

import sys
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

from entrypoints import BadEntryPoint, EntryPoint, iter_files_distros

from .errors import PluginError, unknown_name
from .moved import explain_moved

KINDS = {  # each kind, and the class of its module in `api` that plugins of it extend
    "fillers": "Filler",
    "architectures": "Architecture",
    "formats": "Format",
    "catalogues": "Catalogue",
    "masks": "Masks",
    "finders": "Finder",
    "metrics": "Metric",
    "datasets": "Dataset",
}


def find_plugins(kind: str) -> dict[str, list[EntryPoint]]:
    """Every plugin of `kind` by name: one entry point each, or several where names collide."""
    return scan_metadata(tuple(sys.path)).get(f"inpaint.{kind}", {})


@lru_cache(maxsize=4)
def scan_metadata(path: tuple[str, ...]) -> dict[str, dict[str, list[EntryPoint]]]:
    """The entry points of all packages on `path` by group and name, read once."""
    groups: dict[str, dict[str, list[EntryPoint]]] = {}
    for config, distro in iter_files_distros(path=path):
        for group in filter(lambda name: name.startswith("inpaint."), config):
            for name, target in config[group].items():
                with suppress(BadEntryPoint):
                    point = EntryPoint.from_string(target, name, distro)
                    groups.setdefault(group, {}).setdefault(name, []).append(point)
    return {group: dict(sorted(points.items())) for group, points in groups.items()}


def load_plugin(kind: str, name: str) -> Any:
    """Import the one plugin of `kind` called `name`, and check that it is one.

    Raises `PluginError` when there is none, when several packages offer it, when its import fails
    (the cause is chained) or when it is not a subclass of what its kind asks for.
    """
    plugins, one = find_plugins(kind), kind.removesuffix("s")
    if name not in plugins:
        raise PluginError(unknown_name(one, name, plugins))
    point, *rivals = plugins[name]
    if rivals:
        owners = " and by ".join(map(plugin_origin, plugins[name]))
        raise PluginError(f"{one} '{name}' is offered by {owners}; keep one of them installed")
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:
        reason = explain_moved(error) or f"{error!r}; update or uninstall it"
        raise PluginError(f"{plugin_origin(point)} failed to load '{name}': {reason}") from error
    base = plugin_class(kind)
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        problem = f"'{name}' of {plugin_origin(point)} is not a subclass of {base.__name__}"
        raise PluginError(f"{problem}; update or uninstall it")
    return plugin


def plugin_class(kind: str) -> type:
    """The class that every plugin of `kind` extends; imports what that class needs."""
    return getattr(import_module(f"{__package__}.api.{kind}"), KINDS[kind])


def plugin_target(point: EntryPoint) -> str:
    """Return what `point` names, as a package declares it: module:object."""
    return f"{point.module_name}:{point.object_name}"


def plugin_origin(point: EntryPoint) -> str:
    """The package that offers `point`, with its version."""
    distro = point.distro  # named after its folder, where a package's hyphens are underscores
    return f"{distro.name.replace('_', '-')} {distro.version}" if distro else plugin_target(point)
