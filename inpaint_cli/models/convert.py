"""Other people's checkpoints to weights files of ours, by the mapping their architecture gives.

A checkpoint is a pickle; it is read without executing anything in it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..api.architectures import Architecture
from ..api.settings import Settings
from ..errors import PluginError, WeightsError, blame_path
from ..layers.pickles import flatten_tensors, load_pickle
from ..registry import load_plugin
from . import weights


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint: the tensors that were kept and dropped."""

    settings: Settings
    kept: int
    dropped: tuple[str, ...]

    def groups(self) -> Mapping[str, int]:
        """Count the dropped tensors by the first part of their names."""
        return Counter(name.partition(".")[0] for name in self.dropped)

    def facts(self) -> dict[str, Any]:
        return {
            "settings": self.settings.model_dump(),
            "kept": self.kept,
            "dropped": list(self.dropped),
        }


@blame_path
def convert_checkpoint(source: Path, name: str, output: Path) -> Conversion:
    """Write the checkpoint at `source` to `output` as weights of the architecture `name`.

    Raises WeightsError where the file cannot be read safely or is not in a layout that the
    architecture knows.
    """
    architecture: type[Architecture] = load_plugin("architectures", name)
    tensors = read_checkpoint(source)
    try:
        found = architecture.convert(tensors)
    except WeightsError as error:
        raise WeightsError(f"{source} cannot become weights of '{name}': {error}") from error
    if found is None:
        raise WeightsError(f"{source} is in no layout that '{name}' knows; check --to")
    dropped = {key: tensors[key] for key in found.dropped}
    if count_numbers(tensors) != count_numbers(found.state) + count_numbers(dropped):
        raise PluginError(f"'{name}' does not account for every tensor of {source}: report it")
    net = architecture.build(found.settings)
    weights.load_tensors(found.state, net, source, {"architecture": name})
    weights.write_weights(output, name, found.settings, net, notes={"converted": source.name})
    return Conversion(found.settings, len(tensors) - len(dropped), tuple(found.dropped))


def count_numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


@blame_path
def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names; of several mappings, the one of the weights."""
    if path.suffix == ".safetensors":
        return weights.read_tensors(path)
    loaded = load_safely(path)
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]  # Lightning keeps optimisers beside it
    tensors = dict(flatten_tensors(loaded))
    if not tensors:
        raise WeightsError(f"{path} holds no named tensors; give a checkpoint")
    return tensors


class InertClass:
    """Stands in for a class that a checkpoint names: is made of anything and does nothing."""

    def __new__(cls, *_: Any) -> "InertClass":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def load_safely(path: Path) -> Any:
    """Load what torch saved at `path`, by its safe loader alone.

    The loader refuses every class it does not know, and Lightning's checkpoints are full of its
    own; an inert one is put in the place of each, so that none is imported or run.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # whatever is wrong with the file, loading it says
        names = []
    inert: list[Any] = [(type("Inert", (InertClass,), {}), name) for name in names]
    with torch.serialization.safe_globals(inert):
        return load_pickle(path)
