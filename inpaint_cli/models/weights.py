"""Weights files: their headers, and the networks in them.

Ours are safetensors with a header that names the architecture and its settings, so that a file
is all that filling needs; other programs' files are given to the `formats` plugins. Importing
this imports no torch: listing and inspecting read headers alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, registry
from ..api.formats import ForeignFiller
from ..errors import PluginError, WeightsError, blame_path, unknown_name
from ..files.write import atomic_path
from ..wording import name_some

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..api.architectures import Architecture, Precision, Sizes
    from ..api.formats import Format
    from ..settings import Settings

WEIGHTS_FORMAT = "1"  # of the header; a new one for whatever an older version would misread
CUSTOMARY_FORMAT = "pt"  # what other programs want to read in "format"; ours is then elsewhere
FORMAT_NOTE = "inpaint_format"
FIXED_NOTES = {"format", FORMAT_NOTE, "inpaint", "architecture", "settings", "plugin"}
LONGEST_HEADER = 20_000_000  # bytes of a safetensors header; as JSON it takes many times that


@dataclass(frozen=True)
class StoredNetwork:
    """A network from a weights file, and what its architecture declares."""

    name: str  # of the architecture, or what another program's file is said to hold
    net: nn.Module
    sizes: Sizes
    stochastic: bool = False
    precisions: Sequence[Precision] = ("full",)
    weights: Path | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # sentences for the user on how it was trained
    architecture: type[Architecture] | None = None  # None: another program's


@dataclass(frozen=True)
class WeightsContents:
    """The header of a safetensors file, and the types and shapes of its tensors."""

    path: Path
    bytes: int
    header: Mapping[str, str]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    @property
    def ours(self) -> bool:
        return {"format", "architecture", "settings"} <= self.header.keys()

    @property
    def values(self) -> int:
        """The count of numbers in all tensors together."""
        return sum(prod(shape) for _, shape in self.tensors.values())


def write_weights(
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
    points = registry.find_plugins("architectures").get(architecture, [])
    header = {
        **(notes or {}),
        "format": WEIGHTS_FORMAT,
        "inpaint": __version__,
        "architecture": architecture,
        "settings": settings.model_dump_json(),
        "plugin": registry.plugin_origin(points[0]) if points else "",
    }
    # copied, because tied weights share memory, which the format does not know
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()}
    save_tensors(tensors, path, header)


def save_tensors(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.torch import save

    data = save(tensors, header)  # its `save_file` leaves a temporary file of its own when killed
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        sort_header(temporary)


def sort_header(path: Path) -> None:
    """Sort the notes in the header of a safetensors file, whose writer puts them in any order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
        entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def export_weights(
    source: Path,
    target: Path,
    *,
    notes: Mapping[str, str],
    half: bool = False,
    customary: bool = False,
) -> WeightsContents:
    """Write the weights file `source` of ours again, with `notes` in its header.

    `half` stores its real numbers in 16 bits; networks are built in 32 bits all the same. A
    `customary` header says to other programs, as they expect, that PyTorch wrote the file.
    """
    contents = inspect_weights(source)
    if not contents.ours:
        raise WeightsError(f"{source} has no header of inpaint; `inpaint weights convert` first")
    if fixed := notes.keys() & FIXED_NOTES:
        raise WeightsError(
            f"{name_some(sorted(fixed))} in the header of {source} cannot be changed; leave it"
        )
    tensors = read_tensors(source)
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
        if wide := [k for k, v in tensors.items() if v.is_floating_point() and v.isinf().any()]:
            raise WeightsError(
                f"{name_some(sorted(wide))} of {source} do not fit into 16 bits; leave out --half"
            )
    header = {**contents.header, **notes}
    if customary:
        header |= {"format": CUSTOMARY_FORMAT, FORMAT_NOTE: header["format"]}
    save_tensors(tensors, target, header)
    return inspect_weights(target)


def read_weights(path: Path) -> StoredNetwork:
    """The network in the weights file at `path`; see `read_model_file`."""
    found = read_model_file(path)
    if isinstance(found, ForeignFiller):
        raise WeightsError(f"{path} runs without torch, which cannot change it: give weights")
    return found


@blame_path
def read_model_file(path: Path) -> StoredNetwork | ForeignFiller:
    """The model in the weights file at `path`, ours or another program's, on the CPU.

    Raises `WeightsError` where the file is missing, damaged, for a newer version or does not fit
    its architecture, `PluginError` where its plugin is missing or broken.
    """
    if path.suffix != ".safetensors" and path.is_file():
        return read_foreign(path)
    contents = inspect_weights(path)
    if not contents.ours:
        return read_foreign(path)
    name, architecture, settings = read_plan(contents)
    if is_enlarged(settings):
        check_fit(contents, architecture, settings)
    net = architecture.build(settings)
    load_tensors(read_tensors(path), net, path, contents.header)
    return make_network(name, architecture, settings, net, weights=path, header=contents.header)


def read_plan(contents: WeightsContents) -> tuple[str, type[Architecture], Any]:
    """What a header of ours says to build: an architecture by its name, and its settings."""
    header, path = contents.header, contents.path
    if header["format"] != WEIGHTS_FORMAT:
        raise WeightsError(
            f"{path} has format {header['format']}, unknown to inpaint {__version__};"
            f" it needs inpaint {header.get('inpaint', '')} or newer"
        )
    name = header["architecture"]
    if name not in registry.find_plugins("architectures"):
        missing = unknown_name("architecture", name, registry.find_plugins("architectures"))
        raise PluginError(f"{path} needs {header.get('plugin') or 'another plugin'}: {missing}")
    architecture: type[Architecture] = registry.load_plugin("architectures", name)
    return name, architecture, read_settings(architecture, header["settings"], path)


@blame_path
def inspect_weights(path: Path) -> WeightsContents:
    """The header of a safetensors file, without its tensors; `WeightsError` if it is damaged."""
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= min(LONGEST_HEADER, total) else b""
    except FileNotFoundError as error:
        raise WeightsError(f"there is no weights file {path}; check the name") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; give a file") from error
    try:
        entries = json.loads(text)
        header = {str(k): str(v) for k, v in entries.pop("__metadata__", {}).items()}
        if header.get("format") == CUSTOMARY_FORMAT and FORMAT_NOTE in header:
            header["format"] = header.pop(FORMAT_NOTE)
        tensors = {k: (str(e["dtype"]), tuple(map(int, e["shape"]))) for k, e in entries.items()}
        end = max((int(e["data_offsets"][1]) for e in entries.values()), default=0)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
    ) as error:
        raise WeightsError(f"{path} is not a safetensors file, or damaged; get it again") from error
    if 8 + length + end != total:
        raise WeightsError(
            f"{path} has {total} bytes where its header promises {8 + length + end}:"
            " it is damaged or was not copied whole; get it again"
        )
    return WeightsContents(path, total, header, tensors)


def read_settings(architecture: type[Architecture], text: str, path: Path) -> Any:
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


@blame_path
def read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: {error}; get it again") from error


def load_tensors(
    tensors: Mapping[str, Tensor], net: nn.Module, path: Path, header: Mapping[str, str]
) -> None:
    """Load `tensors` into `net`; `WeightsError` names every kind of thing that does not fit."""
    compare_shapes({key: tuple(tensor.shape) for key, tensor in tensors.items()}, net, path, header)
    net.load_state_dict(tensors)


def is_enlarged(settings: Settings) -> bool:
    """Whether a number in `settings` is above its default, as in few files and in hostile ones."""
    defaults = type(settings).model_construct().model_dump()
    return any(
        isinstance(value, int | float) and not value <= (defaults[key] or 0)
        for key, value in settings.model_dump().items()
    )


def check_fit(contents: WeightsContents, architecture: type[Architecture], settings: Any) -> None:
    """Raise `WeightsError` where the tensors of a file are not those of its settings.

    The network is laid out without memory: a few bytes may ask for one of any size.
    """
    import torch

    from ..layers.backbones import stand_in_backbones

    with torch.device("meta"), stand_in_backbones():
        net = architecture.build(settings)
    shapes = {key: shape for key, (_, shape) in contents.tensors.items()}
    compare_shapes(shapes, net, contents.path, contents.header)


def compare_shapes(
    tensors: Mapping[str, tuple[int, ...]], net: nn.Module, path: Path, header: Mapping[str, str]
) -> None:
    """Raise `WeightsError` where names or shapes of `tensors` are not those of `net`."""
    own = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    differing = [key for key in own.keys() & tensors.keys() if own[key] != tensors[key]]
    wrong = {
        "missing": own.keys() - tensors.keys(),
        "not known": tensors.keys() - own.keys(),
        "of another shape": differing,
    }
    differences = [
        f"{name_some(sorted(keys))} {'is' if len(keys) == 1 else 'are'} {how}"
        for how, keys in wrong.items()
        if keys
    ]
    if differences:
        writer = header.get("plugin") or "another version"
        raise WeightsError(
            f"{path} does not fit '{header['architecture']}': {', '.join(differences)};"
            f" it was written by {writer}"
        )


@blame_path
def read_foreign(path: Path) -> StoredNetwork | ForeignFiller:
    """The model in a file without our header, read by the first `formats` plugin that can."""
    refusals = []
    for name in registry.find_plugins("formats"):
        try:
            reader: type[Format] = registry.load_plugin("formats", name)
            if reader.suffixes and path.suffix not in reader.suffixes:
                continue
            known = reader.read(path)
        except (WeightsError, PluginError) as error:
            refusals.append(f"{name}: {error}")
            continue
        if isinstance(known, ForeignFiller):
            return known
        return StoredNetwork(
            known.name, known.net.eval(), known.sizes, precisions=known.precisions, weights=path
        )
    reasons = "; ".join(refusals) or "no plugin reads other programs' files"
    raise WeightsError(
        f"{path} has no header of inpaint, and is no file that plugins read ({reasons})"
    )


def make_network(
    name: str,
    architecture: type[Architecture],
    settings: Any,
    net: nn.Module,
    *,
    weights: Path | None = None,
    header: Mapping[str, str] | None = None,
) -> StoredNetwork:
    """Return `net`, built from `settings`, with what its architecture declares."""
    known = header or {}
    clauses = {
        "without": "was trained without",
        "parser": "finds regions by",
        "starts": "started from",
    }
    return StoredNetwork(
        name,
        net.eval(),
        architecture.sizes(settings),
        architecture.draws(settings),
        architecture.precisions,
        weights,
        header or {},
        tuple(f"{weights} {how}: {known[key]}" for key, how in clauses.items() if known.get(key)),
        architecture,
    )
