"""Weights files: what they say of themselves, and the networks that they become.

Ours are safetensors with a header that names the architecture and its settings, so that a file
is all that filling needs; other programs' files are given to the `formats` plugins. Importing
this imports no torch: listing and inspecting read headers alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import registry
from ..errors import InpaintError, PluginError, WeightsError, unknown
from ..files import replacing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..api.architectures import Architecture, Precision, Sizes

FORMAT = "1"  # of the header; a new one for whatever an older version would misread
DEFAULT = "patchmatch"  # fills when nobody has chosen anything
LONGEST = 100_000_000  # bytes of a safetensors header, as its specification limits it


@dataclass(frozen=True)
class Model:
    """A network ready to fill, and what the engine has to know of it."""

    name: str  # of the architecture, or what another program's file is said to hold
    net: nn.Module
    sizes: Sizes
    stochastic: bool = False
    precisions: tuple[Precision, ...] = ("full",)
    weights: Path | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # sentences for the user on how it was chosen


@dataclass(frozen=True)
class Contents:
    """What a safetensors file says of itself: its header, and its tensors' types and shapes."""

    path: Path
    bytes: int
    header: Mapping[str, str]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    @property
    def ours(self) -> bool:
        return {"format", "architecture", "settings"} <= self.header.keys()

    @property
    def values(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(prod(shape) for _, shape in self.tensors.values())


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


def write(
    path: Path,
    architecture: str,
    settings: Any,
    net: nn.Module,
    *,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write `net`, built by `architecture` from `settings`, with all that reading it needs.

    `notes` go into the header as they are: recipe, step, licence, summary, ...
    """
    from safetensors.torch import save_file

    points = registry.found("architectures").get(architecture, [])
    header = {
        **(notes or {}),
        "format": FORMAT,
        "inpaint": version("inpaint-cli"),
        "architecture": architecture,
        "settings": settings.model_dump_json(),
        "plugin": registry.origin(points[0]) if points else "",
    }
    # copied, because tied weights share memory, which the format does not know
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, header)


def read(path: Path) -> Model:
    """The model in the weights file at `path`, ours or another program's, on the CPU.

    Raises `WeightsError` where the file is missing, damaged, for a newer version or does not fit
    its architecture, `PluginError` where its plugin is missing or broken.
    """
    if path.suffix != ".safetensors" and path.is_file():
        return foreign(path)
    contents = inspect(path)
    if not contents.ours:
        return foreign(path)
    header = contents.header
    if header["format"] != FORMAT:
        raise WeightsError(
            f"{path} has format {header['format']}, unknown to inpaint {version('inpaint-cli')};"
            f" it needs inpaint {header.get('inpaint', '')} or newer"
        )
    name = header["architecture"]
    if name not in registry.found("architectures"):
        told = unknown("architecture", name, registry.found("architectures"))
        raise PluginError(f"{path} needs {header.get('plugin') or 'another plugin'}: {told}")
    architecture: type[Architecture] = registry.load("architectures", name)
    settings = settings_of(architecture, header["settings"], path)
    net = architecture.build(settings)
    put(tensors_of(path), net, path, header)
    return model_of(name, architecture, settings, net, weights=path, header=header)


def inspect(path: Path) -> Contents:
    """The header of a safetensors file, without its tensors; `WeightsError` if it is damaged."""
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= min(LONGEST, total) else b""
    except FileNotFoundError as error:
        raise WeightsError(f"there is no weights file {path}; check the name") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; give a file") from error
    try:
        entries = json.loads(text)
        header = {str(k): str(v) for k, v in entries.pop("__metadata__", {}).items()}
        tensors = {k: (str(e["dtype"]), tuple(map(int, e["shape"]))) for k, e in entries.items()}
        end = max((int(e["data_offsets"][1]) for e in entries.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise WeightsError(f"{path} is not a safetensors file, or damaged; get it again") from error
    if 8 + length + end != total:
        raise WeightsError(
            f"{path} has {total} bytes where its header promises {8 + length + end}:"
            " it is damaged or was not copied whole; get it again"
        )
    return Contents(path, total, header, tensors)


def settings_of(architecture: type[Architecture], text: str, path: Path) -> Any:
    """The settings in a header, checked by the architecture's own class."""
    from pydantic import ValidationError

    try:
        return architecture.settings.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise WeightsError(
            f"{path} has settings that this version of its plugin does not take:"
            f" {where}: {first['msg'][:1].lower()}{first['msg'][1:]}; install the one that wrote it"
        ) from error


def tensors_of(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: {error}; get it again") from error


def put(
    tensors: Mapping[str, Tensor], net: nn.Module, path: Path, header: Mapping[str, str]
) -> None:
    """Load `tensors` into `net`; `WeightsError` names every kind of thing that does not fit."""
    own = net.state_dict()
    differing = [k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape]
    wrong = {
        "missing": own.keys() - tensors.keys(),
        "not known": tensors.keys() - own.keys(),
        "of another shape": differing,
    }
    told = [
        f"{few(keys)} {'is' if len(keys) == 1 else 'are'} {how}"
        for how, keys in wrong.items()
        if keys
    ]
    if told:
        writer = header.get("plugin") or "another version"
        raise WeightsError(
            f"{path} does not fit '{header['architecture']}': {', '.join(told)};"
            f" it was written by {writer}"
        )
    net.load_state_dict(tensors)


def few(keys: Any) -> str:
    """Some of `keys`, and how many more there are."""
    keys = sorted(keys)
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def foreign(path: Path) -> Model:
    """The model in a file without our header, read by the first `formats` plugin that can."""
    told = []
    for name in registry.found("formats"):
        try:
            known = registry.load("formats", name).read(path)
        except (WeightsError, PluginError) as error:
            told.append(f"{name}: {error}")
            continue
        return Model(
            known.name, known.net.eval(), known.sizes, precisions=known.precisions, weights=path
        )
    reasons = "; ".join(told) or "no plugin reads other programs' files"
    raise WeightsError(
        f"{path} has no header of inpaint, and is no file that plugins read ({reasons})"
    )


def model_of(
    name: str,
    architecture: type[Architecture],
    settings: Any,
    net: nn.Module,
    *,
    weights: Path | None = None,
    header: Mapping[str, str] | None = None,
) -> Model:
    """A network and what its architecture declares, in evaluation mode."""
    return Model(
        name,
        net.eval(),
        architecture.sizes(settings),
        architecture.stochastic,
        tuple(architecture.precisions),
        weights,
        header or {},
    )


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
    for choice, whose in (
        (os.environ.get("INPAINT_WEIGHTS"), "$INPAINT_WEIGHTS"),
        (
            default(),
            "`inpaint weights use`",
        ),
    ):
        if choice:
            opened = (
                by_name(choice)
                if choice in registry.found("architectures")
                else read(locate(choice))
            )
            return replace(opened, notes=(f"{choice} was chosen by {whose}",))
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
        raise WeightsError(unknown("model", name, {*files, *plugins}))
    if not ready:
        raise WeightsError(
            f"'{name}' needs weights: give --weights FILE, or train some with"
            f" `inpaint train {name} RECIPE`, or put {name}.safetensors into {folders()[0]}"
        )
    settings = architecture.settings()
    return model_of(name, architecture, settings, architecture.build(settings))


def locate(weights: str | Path) -> Path:
    """The file at a path, or the one of a name."""
    path = Path(weights)
    if path.exists() or str(weights) not in (files := named()):
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
    return [*first, home() / "weights", Path(__file__).parents[1] / "weights"]


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
            raise WeightsError(
                unknown("model", choice, {*named(), *registry.found("architectures")})
            )
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
                True,
                header.get("licence", "not said"),
                header.get("source", ""),
                path,
                contents.values,
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
