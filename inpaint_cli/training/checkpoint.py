"""Write and read what is in a run folder: recipe, states and weights."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ..errors import RecipeError, TrainingError, WeightsError, blame_path
from ..files.plain_yaml import load_yaml
from ..files.write import atomic_path
from ..layers.pickles import load_pickle
from ..recipe.read import dump_recipe, settings_differences
from ..recipe.schema import Recipe
from ..wording import name_some


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`, completely or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's writer hides the cause, such as a full disk
            raise (error.__context__ or error) from None


@blame_path
def read_state(path: Path) -> dict[str, Any]:
    """Return a state that `write_state` wrote; no code in it is executed.

    Raises `TrainingError` if the file is damaged.
    """
    try:
        return load_pickle(path)
    except WeightsError as error:
        raise TrainingError(
            f"{path} is damaged; delete it to resume from the state before", path=path
        ) from error


def write_recipe(path: Path, recipe: Recipe, notes: Sequence[str]) -> None:
    """Write the resolved recipe, which can be used again, below `notes` as comments."""
    with atomic_path(path) as temporary:
        lines = [f"# {note}\n" for note in notes]
        temporary.write_text("".join(lines) + dump_recipe(recipe), "utf-8")


def recipe_changes(path: Path, recipe: Recipe) -> list[str]:
    """Return the differences of `recipe` from the one at `path`, such as "batch: was 4, is 8"."""
    try:
        old = load_yaml(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} cannot be read: {error}", path=path) from error
    with suppress(ValidationError):  # settings that are newer than the run have their defaults
        old = load_yaml(dump_recipe(Recipe.model_validate(old)))
    new = load_yaml(dump_recipe(recipe))
    return [f"{key}: was {was}, is {now}" for key, was, now in settings_differences(old, new)]


def names_fingerprint(names: Sequence[str]) -> str:
    """Return a short hash of the names of a data set's images, in order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def load_matching(net: nn.Module, weights: Mapping[str, Tensor], origin: str) -> list[str]:
    """Load the tensors of `weights` that `net` has; return lines on matches and differences.

    Raises `WeightsError` if no name matches, or if shapes differ.
    """
    own = net.state_dict()
    shared = [key for key in own if key in weights]
    for key in shared:
        if own[key].shape != weights[key].shape:
            theirs, ours = list(weights[key].shape), list(own[key].shape)
            raise WeightsError(
                f"{origin}: {key} has shape {theirs}, but the network's has {ours}; train with the"
                " settings under `model` that the weights were made with"
            )
    if not shared:
        raise WeightsError(
            f"{origin} has no tensor of this network; give weights of the same architecture"
        )
    net.load_state_dict({key: weights[key] for key in shared}, strict=False)
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    return [f"{origin}: {len(shared)} tensors matched, {len(missing)} missing, "
            f"{len(unexpected)} unexpected",
            *key_lines("missing", missing), *key_lines("unexpected", unexpected)]  # fmt: skip


def key_lines(what: str, keys: Sequence[str]) -> Iterator[str]:
    if keys:
        yield f"  {what}: {name_some(keys, 8)}"
