"""Find and load the model that a user names, has stored, or gets by default.

Importing this imports no torch; a network brings it when it is loaded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import registry
from ..api.fillers import Filler
from ..api.formats import ForeignFiller
from ..errors import InpaintError, PluginError, WeightsError, unknown_name
from ..files.pretrained import BACKBONES
from ..files.stamps import FileStamp
from ..files.write import atomic_path
from .catalogue import PublishedModel, first_terms, get_model, own_folders, read_catalogues
from .hub import fetch_weights, hub_terms, is_hub_name
from .weights import inspect_weights, make_network, read_model_file

if TYPE_CHECKING:
    from ..api.architectures import Architecture

DEFAULT_MODEL = "patchmatch"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".onnx")  # of weights files


@dataclass(frozen=True)
class ModelRef:
    """A model as a user names it: by name, by weights file, by both or not at all.

    `name` is a filler or a weights file that `inpaint models` lists; `weights` is a path, such a
    name, or a repository of the Hub, "hf:owner/name" or "hf:owner/name@revision". Without either
    it is $INPAINT_WEIGHTS, else what `inpaint weights use` has stored, else `DEFAULT_MODEL`. A
    published model that is not on this machine is fetched if `download` is set.

    >>> ModelRef.parse("telea").path is None
    True
    """

    name: str | None = None
    weights: str | None = None
    download: bool = False

    @classmethod
    def parse(cls, text: str | Path) -> ModelRef:
        """Return the model called `text`, or the one in the weights file of that path."""
        known = str(text) in {*named_weights(), *read_catalogues()[0]} or is_filler(str(text))
        return cls(name=str(text)) if known else cls(weights=str(text))

    @cached_property
    def chosen(self) -> tuple[str, str]:
        """The default model, and a note that says why it is the default."""
        if stored := os.environ.get("INPAINT_WEIGHTS"):
            return stored, f"{stored} was chosen by $INPAINT_WEIGHTS"
        if stored := stored_choice():
            return stored, f"{stored} was chosen by `inpaint weights use`"
        note = f"no model was chosen: using {DEFAULT_MODEL} (see `inpaint models`)"
        return DEFAULT_MODEL, note

    @cached_property
    def path(self) -> Path | None:
        """The weights file; None for a filler without one. Raises where there is no such model."""
        if self.weights is not None:
            return locate_weights(self.weights)
        name = self.name or self.chosen[0]
        if is_filler(name):
            if self.name and (file := find_stored(name)):
                raise WeightsError(
                    f"'{name}' is both a filler and the file {file};"
                    " use --weights for the file, or rename it"
                )
            return None
        if self.name is None or is_hub_name(name) or name in named_weights():
            return locate_weights(name)
        if Path(name).is_file():
            raise WeightsError(f"{name} is a file; use --weights {name}")
        if self.download and name in read_catalogues()[0]:
            return get_model(name)
        raise no_model(name)

    @property
    def published(self) -> PublishedModel | None:
        """The published model whose file this is."""
        if self.path is None:
            return None
        named = self.name or self.weights or self.chosen[0]
        if is_hub_name(named):
            return hub_terms(named, self.path)
        model = read_catalogues()[0].get(named)
        return model if model and model.locate() == self.path else None

    def check(self) -> None:
        """Raise `WeightsError` where there is no such model; nothing is loaded."""
        if self.path is None or self.path.is_file():
            return
        if self.path.suffix:
            raise WeightsError(f"there is no weights file {self.path}; check the name")
        raise no_model(str(self.path))

    @property
    def identity(self) -> str:
        """The hash of the weights file, or the name of a filler that needs none."""
        if self.path is None:
            return self.name or self.chosen[0]
        if not self.path.is_file():
            return str(self.path)
        return FileStamp.of(self.path).sha256


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to fill, on the device and in the precision that were asked for."""

    name: str  # of the filler or architecture, or what another program's file is said to hold
    filler: Filler
    weights: Path | None = None
    header: Mapping[str, str] = field(default_factory=dict)  # of the weights file
    notes: tuple[str, ...] = ()  # sentences for the user on how it was chosen

    @property
    def device(self) -> str:
        """The device it runs on: "cpu", "cuda:0"."""
        return self.filler.describe().get("device", "cpu")

    @property
    def precision(self) -> str:
        """ "full", "bf16" or "fp16"."""
        return self.filler.describe().get("precision", "full")

    def __str__(self) -> str:
        return self.name + (f" with {self.weights}" if self.weights else "")


def load_model(
    model: str | Path | ModelRef | LoadedModel | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
) -> LoadedModel:
    """Load a model once, to fill many photos with it.

    `model` is a name that `inpaint models` lists, the path of a weights file, or a repository of
    the Hub with one, "hf:owner/name" or "hf:owner/name@revision"; None means the default (see
    `ModelRef`). `device` is "auto", "cpu", "cuda", "cuda:1" or "mps", `precision` "auto", "full",
    "bf16" or "fp16"; both concern networks alone. Raises `WeightsError` where there is no such
    model, or its file is damaged.

    >>> load_model("telea").name
    'telea'
    """
    if isinstance(model, LoadedModel):
        return model
    if not isinstance(model, str | Path | ModelRef | None):
        kind = type(model).__name__
        raise InpaintError(f"model is a {kind}; give a name, a path or what load_model returned")
    ref = model if isinstance(model, ModelRef) else ModelRef.parse(model) if model else ModelRef()
    if not DEVICE.fullmatch(device):
        raise InpaintError(f"no device is called '{device}'; try auto, cpu, cuda, cuda:1 or mps")
    ref.check()
    notes = () if ref.name or ref.weights else (ref.chosen[1],)
    if published := ref.published:
        published.verify()
        notes = (*notes, *first_terms(published))
    if ref.path is None:
        name = ref.name or ref.chosen[0]
        return LoadedModel(name, load_filler(name, device, precision), notes=notes)
    found = read_model_file(ref.path)
    if ref.name is not None and ref.weights is not None:
        known = {found.name, found.header.get("architecture"), Path(ref.weights).stem}
        if ref.name not in known:
            raise WeightsError(
                f"{ref.weights} holds weights for '{found.name}', not for '{ref.name}';"
                f" leave out --model {ref.name}, or give weights for it"
            )
    if isinstance(found, ForeignFiller):
        check_full_precision(found.name, precision)
        return LoadedModel(found.name, found.make(device), ref.path, found.header, notes)
    from .network import make_filler

    filler = make_filler(found, device=device, precision=precision)
    return LoadedModel(found.name, filler, found.weights, found.header, (*notes, *found.notes))


def load_filler(name: str, device: str = "auto", precision: str = "auto") -> Filler:
    """Load the filler `name`, which needs no weights: arrays alone, or a network as it is built."""
    if name in registry.find_plugins("fillers"):
        check_full_precision(name, precision)
        return registry.load_plugin("fillers", name)()
    from .network import make_filler

    architecture: type[Architecture] = registry.load_plugin("architectures", name)
    settings = architecture.settings()
    network = make_network(name, architecture, settings, architecture.build(settings))
    return make_filler(network, device=device, precision=precision)


def check_full_precision(name: str, precision: str) -> None:
    """Raise `InpaintError` where a filler that knows one precision is to use another."""
    if precision not in ("auto", "full"):
        raise InpaintError(f"{name} computes in full precision alone; leave out {precision}")


def is_filler(name: str) -> bool:
    """Whether a plugin called `name` fills without weights."""
    if name in registry.find_plugins("fillers"):
        return True
    known = name in registry.find_plugins("architectures")
    return known and not registry.load_plugin("architectures", name).needs_weights


def no_model(name: str) -> WeightsError:
    """Return the error that the model `name` is not here, with what would bring it."""
    published, _ = read_catalogues()
    if name in registry.find_plugins("architectures"):
        kin = [m.how_to_get() for m in published.values() if m.architecture == name]
        ways = f"; published ones: {', or '.join(kin)}" if kin else ""
        return WeightsError(
            f"'{name}' needs weights: give --weights FILE, or train some with"
            f" `inpaint train {name} RECIPE`, or put {name}.safetensors into"
            f" {weights_folders()[0]}{ways}"
        )
    if name in published:
        how = published[name].how_to_get()
        return WeightsError(f"'{name}' is not on this machine: {how}, or --download with it")
    known = {*named_weights(), *registry.find_plugins("fillers"), *published}
    return WeightsError(
        unknown_name("model", name, {*known, *registry.find_plugins("architectures")})
    )


def locate_weights(weights: str | Path) -> Path:
    """Return the file at a path, or the one of a name, or of a repository of the Hub."""
    path = Path(weights)
    if is_hub_name(str(weights)) and not path.is_file():
        return fetch_weights(str(weights))
    if path.is_file() or str(weights) not in (files := named_weights()):
        return path
    return files[str(weights)]


def named_weights() -> dict[str, Path]:
    """Weights files by their names; those in the first folder win.

    Files of published models have the names of the models, others their own without suffix.
    """
    models, _ = read_catalogues()
    others = {file.name for m in models.values() for file in m.files}
    others |= {file.name for file in BACKBONES.values()}
    files: dict[str, Path] = {}
    for folder in weights_folders():
        for path in sorted(folder.glob("[!.]*")):
            if path.suffix in SUFFIXES and path.name not in others:
                files.setdefault(path.stem, path)
    folders = own_folders()
    for name, model in models.items():
        if path := model.locate(folders):
            files.setdefault(name, path)
    return files


def find_stored(name: str) -> Path | None:
    """Return the weights file called `name`; catalogues are read only where there may be one."""
    places = (folder / f"{name}{suffix}" for folder in weights_folders() for suffix in SUFFIXES)
    return named_weights().get(name) if any(path.is_file() for path in places) else None


def weights_folders() -> list[Path]:
    """Return the folders of named weights: first that of fetched ones, last the package's."""
    return [*own_folders(), config_dir() / "weights", Path(__file__).parent / "builtin"]


def config_dir() -> Path:
    """The folder in which the program stores what the user has chosen."""
    return Path(click.get_app_dir("inpaint"))


def stored_choice() -> str | None:
    """Return what `inpaint weights use` has stored, or None."""
    try:
        stored = json.loads((config_dir() / "weights.json").read_text("utf-8"))["use"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InpaintError(
            f"{config_dir() / 'weights.json'} is damaged; run `inpaint weights use --none`"
        ) from error
    return str(stored)


def store_choice(choice: str | None) -> None:
    """Store the default model: a name, a file, or None to clear it.

    Raises `WeightsError` where there is no such model; the network is not built.
    """
    store = config_dir() / "weights.json"
    if choice is None:
        store.unlink(missing_ok=True)
        return
    ref = ModelRef.parse(choice)
    if ref.path is not None:
        ref.check()
        lasting = ref.name or is_hub_name(choice)
        choice = choice if lasting else str(ref.path.resolve())
    with atomic_path(store) as temporary:
        temporary.write_text(json.dumps({"use": choice}) + "\n", "utf-8")


@dataclass(frozen=True)
class ModelInfo:
    """One model that can be named, or could be if it had weights."""

    name: str
    architecture: str
    ready: bool
    licence: str = ""
    source: str = ""
    summary: str = ""
    path: Path | None = None
    values: int | None = None
    bytes: int | None = None  # of the weights file, also of one that could be fetched
    get: bool = False  # published: `inpaint models get` fetches it, or says what to do by hand

    @property
    def status(self) -> str:
        """What it needs to fill, in words."""
        if self.path:
            return f"{self.architecture}, {(self.bytes or 0) / 1e6:.1f} MB"
        if self.get:
            how = f"{self.bytes / 1e6:.0f} MB" if self.bytes else "by hand"
            return f"not here, {how}: inpaint models get {self.name}"
        return "needs no weights" if self.ready else "needs weights: --weights FILE, or train it"

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        values = {key: value for key, value in vars(self).items() if key != "path"}
        return values | {"weights": self.path and str(self.path)}


def list_models() -> tuple[Sequence[ModelInfo], Sequence[str]]:
    """Return all models, and a sentence for each plugin or file that is broken. Imports no torch.

    >>> "telea" in [model.name for model in list_models()[0]]
    True
    """
    models, broken = [], []
    files, (published, wrong) = named_weights(), read_catalogues()
    for name, path in files.items():
        try:
            models.append(describe_file(name, path, published.get(name)))
        except WeightsError as error:
            broken.append(str(error))
    for name, model in published.items():
        if name not in files:
            about = (model.licence, model.source, model.summary, None, None, model.bytes, True)
            models.append(ModelInfo(name, model.architecture, False, *about))
    for kind in ("fillers", "architectures"):
        for name in registry.find_plugins(kind):
            try:
                plugin = registry.load_plugin(kind, name)
            except PluginError as error:
                broken.append(str(error))
                continue
            ready = kind == "fillers" or not plugin.needs_weights
            if ready or (name not in files and name not in published):
                summary = (plugin.__doc__ or "").strip().partition("\n")[0]
                models.append(ModelInfo(name, name, ready, plugin.licence, plugin.source, summary))
    return models, [*broken, *wrong]


def describe_model(name: str) -> tuple[ModelInfo, str]:
    """Return a model by its name, and BibTeX of its architecture's paper; "" if it has none.

    Raises `WeightsError` if there is no such model.
    """
    models = {model.name: model for model in list_models()[0]}
    kinds = {n: kind for kind in ("architectures", "fillers") for n in registry.find_plugins(kind)}
    if name not in models and name not in kinds:
        raise WeightsError(unknown_name("model", name, [*models, *kinds]))
    known = models.get(name) or ModelInfo(name, name, False)
    if known.architecture not in kinds:
        return known, ""
    plugin = registry.load_plugin(kinds[known.architecture], known.architecture)
    if name not in models:  # an architecture of which there are weights under other names
        summary = (plugin.__doc__ or "").strip().partition("\n")[0]
        known = ModelInfo(name, name, False, plugin.licence, plugin.source, summary)
    return known, plugin.citation


def describe_file(name: str, path: Path, model: PublishedModel | None) -> ModelInfo:
    """Describe the weights file at `path`, by its header or by the published `model` it is."""
    size = path.stat().st_size
    if model and model.locate() == path:
        kind = model.architecture or name
        about = (model.licence, model.source, model.summary)
        return ModelInfo(name, kind, True, *about, path=path, bytes=size, get=True)
    if path.suffix != ".safetensors":
        return ModelInfo(name, path.suffix[1:], True, "not said", path=path, bytes=size)
    contents = inspect_weights(path)
    header = contents.header
    return ModelInfo(
        name,
        header.get("architecture", "?"),
        ready=True,
        licence=header.get("licence", "not said"),
        source=header.get("source", ""),
        summary=header.get("summary", ""),
        path=path,
        values=contents.values,
        bytes=contents.bytes,
    )
