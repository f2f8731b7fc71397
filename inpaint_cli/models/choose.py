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
from ..errors import InpaintError, PluginError, WeightsError, unknown_name
from ..files.write import atomic_path
from .weights import Model, inspect_weights, make_model, read_weights

if TYPE_CHECKING:
    from ..api.architectures import Architecture

DEFAULT_MODEL = "patchmatch"  # fills when nobody has chosen anything


@dataclass(frozen=True)
class ModelInfo:
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
        opened = read_weights(locate_weights(weights))
        known = {opened.name, opened.header.get("architecture"), Path(weights).stem}
        if model is not None and model not in known:
            raise WeightsError(
                f"{weights} holds weights for '{opened.name}', not for '{model}';"
                f" leave out --model {model}, or give weights for it"
            )
        return opened
    if model is not None:
        return open_by_name(model)
    choices = {
        "$INPAINT_WEIGHTS": os.environ.get("INPAINT_WEIGHTS"),
        "`inpaint weights use`": stored_choice(),
    }
    for whose, choice in choices.items():
        if choice:
            known = choice in registry.find_plugins("architectures")
            opened = open_by_name(choice) if known else read_weights(locate_weights(choice))
            return replace(opened, notes=(f"{choice} was chosen by {whose}", *opened.notes))
    note = (
        f"no weights were chosen: filling with {DEFAULT_MODEL}, which needs none (see `inpaint"
        " models`)"
    )
    return replace(open_by_name(DEFAULT_MODEL), notes=(note,))


def open_by_name(name: str) -> Model:
    """What `--model` means: an architecture that needs no weights, or a named weights file."""
    files, plugins = named_weights(), registry.find_plugins("architectures")
    architecture = registry.load_plugin("architectures", name) if name in plugins else None
    ready = architecture is not None and not architecture.needs_weights
    if name in files:
        if ready:
            raise WeightsError(
                f"'{name}' is both an architecture and the file {files[name]};"
                " say --weights for the file, or rename it"
            )
        return read_weights(files[name])
    if architecture is None:
        if Path(name).is_file():
            raise WeightsError(f"{name} is a file; say --weights {name}")
        raise no_model(name)
    if not ready:
        raise WeightsError(
            f"'{name}' needs weights: give --weights FILE, or train some with"
            f" `inpaint train {name} RECIPE`, or put {name}.safetensors into {weights_folders()[0]}"
        )
    settings = architecture.settings()
    return make_model(name, architecture, settings, architecture.build(settings))


def no_model(name: str) -> WeightsError:
    """The error that no weights file and no architecture is called `name`."""
    return WeightsError(
        unknown_name("model", name, {*named_weights(), *registry.find_plugins("architectures")})
    )


def locate_weights(weights: str | Path) -> Path:
    """The file at a path, or the one of a name."""
    path = Path(weights)
    if path.is_file() or str(weights) not in (files := named_weights()):
        return path
    return files[str(weights)]


def named_weights() -> dict[str, Path]:
    """Weights files by their names without suffix; those in the first folder win."""
    files: dict[str, Path] = {}
    for folder in weights_folders():
        for path in sorted(folder.glob("*.safetensors")):
            files.setdefault(path.stem, path)
    return files


def weights_folders() -> list[Path]:
    """Where named weights lie: `$INPAINT_WEIGHTS_DIR`, the user's own folder, the package."""
    own = os.environ.get("INPAINT_WEIGHTS_DIR")
    first = [Path(own)] if own else []
    return [*first, config_dir() / "weights", Path(__file__).parent / "builtin"]


def config_dir() -> Path:
    """The folder in which the program keeps what the user has told it to remember."""
    return Path(click.get_app_dir("inpaint"))


def stored_choice() -> str | None:
    """What `inpaint weights use` has stored."""
    try:
        stored = json.loads((config_dir() / "weights.json").read_text("utf-8"))["use"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InpaintError(
            f"{config_dir() / 'weights.json'} is damaged; say `inpaint weights use --none`"
        ) from error
    return str(stored)


def store_choice(choice: str | None) -> None:
    """Store what `fill` takes when nothing is said: a name, a file, or None for nothing.

    Raises as `open_model` does where there is no such thing; the network is not built.
    """
    store = config_dir() / "weights.json"
    if choice is None:
        store.unlink(missing_ok=True)
        return
    if choice not in registry.find_plugins("architectures"):
        path = locate_weights(choice)
        if not path.is_file():
            raise no_model(choice)
        choice = (
            choice
            if choice in named_weights() and path == named_weights()[choice]
            else str(path.resolve())
        )
    with atomic_path(store) as temporary:
        temporary.write_text(json.dumps({"use": choice}) + "\n", "utf-8")


def list_models() -> tuple[list[ModelInfo], list[str]]:
    """All that `--model` takes, and a sentence for each plugin or file that is broken."""
    choices, broken = [], []
    for name, path in named_weights().items():
        try:
            contents = inspect_weights(path)
        except WeightsError as error:
            broken.append(str(error))
            continue
        header = contents.header
        choices.append(
            ModelInfo(
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
    for name in registry.find_plugins("architectures"):
        try:
            plugin: type[Architecture] = registry.load_plugin("architectures", name)
        except PluginError as error:
            broken.append(str(error))
            continue
        if name not in named_weights() or not plugin.needs_weights:
            ready = not plugin.needs_weights
            choices.append(ModelInfo(name, name, ready, plugin.licence, plugin.source))
    return choices, broken
