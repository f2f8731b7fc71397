"""Which model fills: what a user names, has chosen before, or gets when nothing is said.

Importing this imports no torch; `weights` turns files into networks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import registry
from ..errors import InpaintError, PluginError, WeightsError, unknown
from ..files.write import replacing
from .weights import Model, inspect, model_of, read

if TYPE_CHECKING:
    from ..api.architectures import Architecture

DEFAULT = "patchmatch"  # fills when nobody has chosen anything


@dataclass(frozen=True)
class Choice:
    """One thing that `--model` takes, or would take if it had weights."""

    name: str
    architecture: str
    ready: bool
    licence: str = ""
    source: str = ""
    path: Path | None = None
    values: int | None = None
    bytes: int | None = None  # of the weights file


def open_model(model: str | None = None, weights: str | Path | None = None) -> Model:
    """The model that a user means by `--model`, `--weights`, both or neither.

    `weights` is a file or the name of one (see `folders`); `model` is that too, or an
    architecture that needs no weights. Without either it is `$INPAINT_WEIGHTS`, else what
    `inpaint weights use` has stored, else `patchmatch`, with a note that says so.
    """
    if weights is not None:
        opened = read(locate(weights))
        known = {opened.name, opened.header.get("architecture"), Path(weights).stem}
        if model is not None and model not in known:
            raise WeightsError(
                f"{weights} holds weights for '{opened.name}', not for '{model}';"
                f" leave out --model {model}, or give weights for it"
            )
        return opened
    if model is not None:
        return by_name(model)
    choices = {
        "$INPAINT_WEIGHTS": os.environ.get("INPAINT_WEIGHTS"),
        "`inpaint weights use`": default(),
    }
    for whose, choice in choices.items():
        if choice:
            known = choice in registry.found("architectures")
            opened = by_name(choice) if known else read(locate(choice))
            return replace(opened, notes=(f"{choice} was chosen by {whose}", *opened.notes))
    note = (
        f"no weights were chosen: filling with {DEFAULT}, which needs none (see `inpaint models`)"
    )
    return replace(by_name(DEFAULT), notes=(note,))


def by_name(name: str) -> Model:
    """What `--model` means: an architecture that needs no weights, or a named weights file."""
    files, plugins = named(), registry.found("architectures")
    architecture = registry.load("architectures", name) if name in plugins else None
    ready = architecture is not None and not architecture.needs_weights
    if name in files:
        if ready:
            raise WeightsError(
                f"'{name}' is both an architecture and the file {files[name]};"
                " say --weights for the file, or rename it"
            )
        return read(files[name])
    if architecture is None:
        if Path(name).is_file():
            raise WeightsError(f"{name} is a file; say --weights {name}")
        raise absent(name)
    if not ready:
        raise WeightsError(
            f"'{name}' needs weights: give --weights FILE, or train some with"
            f" `inpaint train {name} RECIPE`, or put {name}.safetensors into {folders()[0]}"
        )
    settings = architecture.settings()
    return model_of(name, architecture, settings, architecture.build(settings))


def absent(name: str) -> WeightsError:
    """The error that no weights file and no architecture is called `name`."""
    return WeightsError(unknown("model", name, {*named(), *registry.found("architectures")}))


def locate(weights: str | Path) -> Path:
    """The file at a path, or the one of a name."""
    path = Path(weights)
    if path.is_file() or str(weights) not in (files := named()):
        return path
    return files[str(weights)]


def named() -> dict[str, Path]:
    """Weights files by their names without suffix; those in the first folder win."""
    files: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.safetensors")):
            files.setdefault(path.stem, path)
    return files


def folders() -> list[Path]:
    """Where named weights lie: `$INPAINT_WEIGHTS_DIR`, the user's own folder, the package."""
    own = os.environ.get("INPAINT_WEIGHTS_DIR")
    first = [Path(own)] if own else []
    return [*first, home() / "weights", Path(__file__).parent / "builtin"]


def home() -> Path:
    """The folder in which the program keeps what the user has told it to remember."""
    return Path(click.get_app_dir("inpaint"))


def default() -> str | None:
    """What `inpaint weights use` has stored."""
    try:
        stored = json.loads((home() / "weights.json").read_text("utf-8"))["use"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InpaintError(
            f"{home() / 'weights.json'} is damaged; say `inpaint weights use --none`"
        ) from error
    return str(stored)


def use(choice: str | None) -> None:
    """Store what `fill` takes when nothing is said: a name, a file, or None for nothing.

    Raises as `open_model` does where there is no such thing; the network is not built.
    """
    store = home() / "weights.json"
    if choice is None:
        store.unlink(missing_ok=True)
        return
    if choice not in registry.found("architectures"):
        path = locate(choice)
        if not path.is_file():
            raise absent(choice)
        choice = choice if choice in named() and path == named()[choice] else str(path.resolve())
    with replacing(store) as temporary:
        temporary.write_text(json.dumps({"use": choice}) + "\n", "utf-8")


def models() -> tuple[list[Choice], list[str]]:
    """All that `--model` takes, and a sentence for each plugin or file that is broken."""
    choices, broken = [], []
    for name, path in named().items():
        try:
            contents = inspect(path)
        except WeightsError as error:
            broken.append(str(error))
            continue
        header = contents.header
        choices.append(
            Choice(
                name,
                header.get("architecture", "?"),
                ready=True,
                licence=header.get("licence", "not said"),
                source=header.get("source", ""),
                path=path,
                values=contents.values,
                bytes=contents.bytes,
            )
        )
    for name in registry.found("architectures"):
        try:
            plugin: type[Architecture] = registry.load("architectures", name)
        except PluginError as error:
            broken.append(str(error))
            continue
        if name not in named() or not plugin.needs_weights:
            ready = not plugin.needs_weights
            choices.append(Choice(name, name, ready, plugin.licence, plugin.source))
    return choices, broken
