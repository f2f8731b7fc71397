"""Published models by name: what is known of each, whether it is here, and how it is fetched.

Importing this imports no torch. The entries are those of the `catalogues` plugins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import InpaintError, PluginError, WeightsError, unknown_name
from ..files.fetch import PublishedFile, data_dir, fetch_file, fetched_dir, find_file, verify_file
from ..files.plain_yaml import load_yaml
from ..files.write import atomic_path

LONGEST_CATALOGUE = 1_000_000  # characters
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class PublishedModel:
    """An entry of a catalogue; see `api.catalogues.Catalogue`."""

    name: str
    summary: str
    licence: str
    trained_on: str
    source: str = ""
    architecture: str = ""
    needs: str = ""
    by_hand: str = ""
    files: Sequence[PublishedFile] = ()

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def terms(self) -> str:
        """What whoever uses the weights should know of them."""
        return f"its weights: {self.licence}, trained on {self.trained_on}"

    def locate(self, folders: Sequence[Path] | None = None) -> Path | None:
        """Return the file that is loaded, not verified; None where it is not on this machine.

        `folders` are `own_folders()`, which takes longer to find than a file in them.
        """
        places = own_folders() if folders is None else folders
        found = [find_file(file, places) for file in self.files]
        return found[0] if found and all(found) else None

    def verify(self) -> None:
        """Raise `WeightsError` where a file on this machine is another than the published one."""
        for file in self.files:
            if path := find_file(file, own_folders()):
                verify_file(path, file)

    def how_to_get(self) -> str:
        """Return what to do to have it on this machine."""
        if self.by_hand:
            return self.by_hand
        terms = f"{self.bytes / 1e6:.0f} MB, licence {self.licence}"
        return f"`inpaint models get {self.name}` ({terms})"


def get_model(
    name: str,
    source: str | Path | None = None,
    *,
    notify: Callable[[str], object] = lambda sentence: None,
) -> Path:
    """Bring the published model `name` to this machine; return its file, which `fill` takes.

    Nothing is fetched where the file is here already, be it in the cache of another program.
    `source` is a folder with its files, or the address of a mirror of them. `notify` is called
    with sentences for the user. Raises `WeightsError` where there is no such model, where it
    cannot be fetched by name, or where what came is not what was published.

    >>> get_model("big-lma")
    Traceback (most recent call last):
    inpaint_cli.errors.WeightsError: no published model named 'big-lma'; did you mean 'big-lama'?
    """
    model = read_model(name)
    if not model.files:
        raise WeightsError(f"'{name}' cannot be fetched by name: {model.by_hand}")
    if model.locate() is None:
        for file in model.files:
            fetch_file(file, fetched_dir(), str(source) if source else None, notify=notify)
    else:
        model.verify()
    found = model.locate()
    assert found is not None
    return found


def remove_model(name: str) -> Sequence[Path]:
    """Delete what was fetched of the published model `name`; return the files that are gone.

    Only what this program has fetched is deleted: `WeightsError` where the file is another one, or
    stands in the cache of another program.

    >>> remove_model("big-lama")
    Traceback (most recent call last):
    inpaint_cli.errors.WeightsError: 'big-lama' is not on this machine: nothing was deleted
    """
    model, folder = read_model(name), fetched_dir()
    ours = [(folder / file.name, file) for file in model.files if (folder / file.name).is_file()]
    hidden = [p for file in model.files for p in folder.glob(f".{file.name}.*") if p.is_file()]
    if not ours and not any(path.suffix == ".part" for path in hidden):
        elsewhere = model.locate()
        place = (
            f"stands in {elsewhere}, which is not ours" if elsewhere else "is not on this machine"
        )
        raise WeightsError(f"'{name}' {place}: nothing was deleted")
    for path, file in ours:
        verify_file(path, file)
    for path in hidden:
        path.unlink()
    for path, _ in ours:
        path.unlink()
    return [path for path, _ in ours] or [path for path in hidden if path.suffix == ".part"]


def read_model(name: str) -> PublishedModel:
    """Return the published model `name`; raise `WeightsError` if there is none."""
    models, _ = read_catalogues()
    if name not in models:
        raise WeightsError(unknown_name("published model", name, models))
    return models[name]


def read_catalogues() -> tuple[Mapping[str, PublishedModel], Sequence[str]]:
    """Return the models of all catalogues by name, and a sentence for each that is broken."""
    models, broken = {}, []
    for name in registry.find_plugins("catalogues"):
        try:
            entries = read_catalogue(registry.load_plugin("catalogues", name).path())
        except PluginError as error:
            broken.append(str(error))
        except Exception as error:  # somebody else's code
            broken.append(f"the catalogue '{name}' is broken: {error!r}; update its package")
        else:
            models = {**entries, **models}
    return models, broken


@lru_cache(maxsize=16)
def read_catalogue(path: Path) -> Mapping[str, PublishedModel]:
    """Read the file at `path`; raise `PluginError`, which names the entry that is wrong."""
    try:
        text = path.read_text("utf-8")
        if len(text) > LONGEST_CATALOGUE:
            raise ValueError("it is too long")
        entries = json.loads(text) if path.suffix == ".json" else load_yaml(text, fast=True)
        return {str(name): read_entry(str(name), entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise PluginError(
            f"the catalogue {path} is damaged: {error}; update its package"
        ) from error


def read_entry(name: str, entry: Mapping[str, Any]) -> PublishedModel:
    """Return the entry `name`; raise `ValueError` where something in it is missing or wrong."""
    try:
        model = PublishedModel(name, **{**entry, "files": read_files(entry.get("files", ()))})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"'{name}': {error}") from error
    if bool(model.files) == bool(model.by_hand):
        raise ValueError(f"'{name}' must have either files or by_hand")
    return model


def read_files(entries: Sequence[Mapping[str, Any]]) -> Sequence[PublishedFile]:
    files = []
    for entry in entries:
        known = [(int(e["bytes"]), str(e["sha256"])) for e in (entry, *entry.get("also", ()))]
        file = PublishedFile(entry["name"], entry["url"], *known[0], known[1:])
        if Path(file.name).name != file.name or file.name.startswith("."):
            raise ValueError(f"'{file.name}' is no name of a file")
        if not file.url.startswith(("https://", "http://")):
            raise ValueError(f"'{file.url}' is no address")
        if not all(map(SHA256.fullmatch, file.known)):
            raise ValueError(f"{file.name} has no full SHA-256 in hex")
        files.append(file)
    return files


def own_folders() -> list[Path]:
    """The folders in which files of models are looked for before the caches of others."""
    return list(dict.fromkeys([fetched_dir(), data_dir() / "weights"]))


def first_terms(model: PublishedModel) -> Sequence[str]:
    """Return the terms of `model` in a sentence, the first time that it is used; then nothing."""
    store = data_dir() / "terms-shown.json"
    try:
        shown = set(json.loads(store.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        shown = set()
    sentence = f"{model.name}: {model.terms} (said once)"
    if sentence in shown:
        return []
    with suppress(InpaintError), atomic_path(store) as temporary:  # said again where it cannot be
        temporary.write_text(json.dumps(sorted({*shown, sentence}), indent=1) + "\n", "utf-8")
    return [sentence]
