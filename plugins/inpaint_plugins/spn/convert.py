"""Conversion of the authors' checkpoints of SPN, SPN-P and SPL: where each of their tensors goes.

Their generator holds prior learner and image generator in one module. Convolutions that have the
same input are separate there and one here, so some of our tensors are two of theirs, joined.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from inpaint_cli.api import Converted, WeightsError

from .model import SemanticPriorNet
from .settings import SPLSettings, SPNPSettings, SPNSettings

FIRST = "encoder_conv1_sm.weight"  # by which their generator and its prefix are found
TRAINING = "feature_mapping"  # their heads from priors to features of the pretext model
OTHER_NETWORKS = ("discriminator", "tresnet_xL_hold", "vgg_loss")  # beside a generator of no prefix
REGIONS = {"scale": "gamma", "shift": "beta"}


def convert_released(tensors: Mapping[str, Tensor], kind: type[SPNSettings]) -> Converted | None:
    """Return `tensors` as settings of `kind` and state; None if they hold no generator of SPN.

    Raises `WeightsError` if the generator is one of another kind, or if a tensor is missing or has
    no place.
    """
    prefixes = [name.removesuffix(FIRST) for name in tensors if name.endswith(FIRST)]
    if not prefixes:
        return None
    prefix = min(prefixes, key=len)
    theirs = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
        and not name.removeprefix(prefix).startswith((TRAINING, *OTHER_NETWORKS))
    }
    settings = find_settings(theirs, kind)
    with torch.device("meta"):
        keys = SemanticPriorNet(settings).state_dict().keys()
    places = {key: place_tensor(key, pair_modules(settings)) for key in keys}
    used = {name for names in places.values() for name in names}
    if missing := sorted(used - theirs.keys()):
        raise WeightsError(f"the checkpoint has no generator tensor '{missing[0]}'")
    if unknown := sorted(theirs.keys() - used):
        raise WeightsError(f"generator tensor '{unknown[0]}' has no place in the layout")
    state = {key: join_tensors(key, [theirs[n] for n in names]) for key, names in places.items()}
    return Converted(settings, state, sorted(tensors.keys() - {prefix + name for name in used}))


def find_settings(theirs: Mapping[str, Tensor], kind: type[SPNSettings]) -> SPNSettings:
    """Return the settings of their generator, by the shapes and names of its tensors."""
    found, name = SPLSettings, "spl"
    if "mu.weight" in theirs:
        found, name = SPNPSettings, "spn-p"
    elif "feature_recon_decoder.0.weight" in theirs:
        found, name = SPNSettings, "spn"
    if found is not kind:
        raise WeightsError(f"it holds the generator of {name}; convert it with --to {name}")
    counts = {
        "blocks": count_members(theirs, "middle"),
        "dense_blocks": count_members(theirs, "rdbs"),
    }
    return kind.model_validate({"width": len(theirs[FIRST]), **counts})


def count_members(theirs: Mapping[str, Tensor], name: str) -> int:
    """Count the members of their list of modules `name`."""
    return len({key.split(".")[1] for key in theirs if key.startswith(f"{name}.")})


def place_tensor(key: str, modules: Mapping[str, str]) -> list[str]:
    """Return the names of their tensors of which our tensor `key` is made."""
    module, _, part = key.rpartition(".")
    if part in REGIONS:  # a parameter of a region norm, one column a region
        theirs = f"encoder_in{int(module[-1]) + 1}"
        return [f"{theirs}.{side}_{REGIONS[part]}" for side in ("foreground", "background")]
    return [f"{theirs}.{part}" for theirs in modules[module].split()]


def join_tensors(key: str, parts: list[Tensor]) -> Tensor:
    """Join `parts` to our tensor `key`: two regions side by side, outputs one after the other."""
    return torch.stack(parts, 1) if key.endswith(tuple(REGIONS)) else torch.cat(parts)


def pair_modules(settings: SPNSettings) -> dict[str, str]:
    """Return our convolutions, and of each those of theirs in their order."""
    prior = {f"prior.{ours}": theirs for ours, theirs in pair_prior(settings).items()}
    generator = {f"generator.{ours}": theirs for ours, theirs in pair_generator(settings).items()}
    return prior | generator


def pair_prior(settings: SPNSettings) -> dict[str, str]:
    probabilistic = isinstance(settings, SPNPSettings)
    pairs = {"first": "encoder_conv1_sm", "enter": "encoder_sm_out"}
    pairs |= {f"down.{n}": f"encoder_conv{n + 2}_sm" for n in range(3)}
    pairs |= {f"fuse.{n}": f"gff.{n}" for n in range(2)}
    for n in range(settings.dense_blocks):
        pairs |= {f"dense.{n}.convs.{k}": f"rdbs.{n}.layers.{k}.conv" for k in range(6)}
        pairs[f"dense.{n}.fuse"] = f"rdbs.{n}.lff"
    for n in range(4):
        widens = probabilistic and n == 0
        pairs |= pair_residual(f"coarse.{n}", f"feature_recon.{n}", widens=widens)
    if probabilistic:
        pairs |= {"variational.mean": "mu", "variational.deviation": "sigma"}
        pairs |= {f"variational.encode.{n}": f"encoder_z.{n}" for n in (0, 2, 4)}
        pairs |= {f"variational.decode.{n}.0": f"decoder_z.{3 * n}" for n in range(3)}
    for n in range(2 * settings.pyramid):
        pairs[f"up.{n}.0"] = f"feature_recon_decoder.{4 * n}"
        theirs = f"feature_recon_decoder.{4 * n + 3}"
        pairs |= pair_residual(f"join.{n}", theirs, widens=True)
    return pairs


def pair_residual(ours: str, theirs: str, *, widens: bool) -> dict[str, str]:
    first = f"{theirs}.conv_block.1"
    begin = {"both": f"{first} {theirs}.shortcut.1"} if widens else {"first": first}
    return {
        f"{ours}.{part}": names
        for part, names in {**begin, "second": f"{theirs}.conv_block.4"}.items()
    }


def pair_generator(settings: SPNSettings) -> dict[str, str]:
    pairs = {f"encode.{n}": f"encoder_conv{n + 1}" for n in range(3)}
    for n in range(settings.blocks):
        ours, theirs = f"blocks.{n}", f"middle.{n}.conv_block"
        pairs |= pair_spade(f"{ours}.norm1", f"{theirs}.0")
        pairs |= pair_spade(f"{ours}.norm2", f"{theirs}.4")
        pairs |= {f"{ours}.conv1": f"{theirs}.3", f"{ours}.conv2": f"{theirs}.7"}
    for n in range(2):
        ours = f"up.{n}"
        if not settings.pyramid:
            norm = f"decoder.{4 * n + 2}.sa"
            pairs[f"{ours}.conv"] = f"decoder.{4 * n}"
            pairs[f"{ours}.norm.attention"] = f"{norm}.conv1"
            pairs[f"{ours}.norm.scale_shift"] = f"{norm}.gamma_conv {norm}.beta_conv"
            continue
        theirs = f"decoder.{2 * n + 1}"
        pairs |= pair_spade(f"{ours}.norm1", f"{theirs}.conv_block.0")
        pairs |= pair_spade(f"{ours}.norm2", f"{theirs}.conv_block.3")
        pairs |= pair_spade(f"{ours}.norm_shortcut", f"{theirs}.SPADE_s")
        pairs[f"{ours}.conv1"] = f"{theirs}.conv_block.2"
        pairs[f"{ours}.conv2"] = f"{theirs}.conv_block.5"
        pairs[f"{ours}.conv_shortcut"] = f"{theirs}.conv_s"
    return pairs | {"last": "decoder.6" if settings.pyramid else "decoder.9"}


def pair_spade(ours: str, theirs: str) -> dict[str, str]:
    return {
        f"{ours}.shared": f"{theirs}.mlp_shared.0",
        f"{ours}.scale_shift": f"{theirs}.mlp_gamma {theirs}.mlp_beta",
    }
