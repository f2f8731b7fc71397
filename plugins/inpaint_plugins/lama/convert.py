"""The authors' checkpoints as our weights: what each tensor is called here, and where it joins.

Their generator is one sequence: padding, stem, downsamplings, Fourier blocks, a joining step, then
convolution, norm and activation for each upsampling, padding and head. Local and global channels
are apart there and one tensor here, so some of our tensors are two of theirs end to end.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from inpaint_cli.api import Converted, WeightsError

from .model import LaMaSettings

GENERATOR = re.compile(r"(generator|model)\.model\.(?=\d)")
NORM = ("weight", "bias", "running_mean", "running_var")
COUNT = "num_batches_tracked"


def convert(tensors: Mapping[str, Tensor]) -> Converted | None:
    """None unless the tensors hold a generator in LaMa's layout; WeightsError if it differs."""
    theirs = {GENERATOR.sub("", k, 1): k for k in tensors if GENERATOR.match(k)}
    blocks = sorted({int(k.split(".")[0]) for k in theirs if ".conv1.ffc." in k})
    if not blocks:
        return None
    taken: set[str] = set()
    state: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        if name not in theirs:
            raise WeightsError(
                f"the checkpoint has no generator tensor '{name}': not LaMa's layout"
            )
        taken.add(theirs[name])
        return tensors[theirs[name]]

    def put(ours: str, *names: str, dim: int = 0) -> None:
        state[ours] = torch.cat([take(name) for name in names], dim)

    def norm(ours: str, *names: str) -> None:
        for part in NORM:
            put(f"{ours}.{part}", *(f"{name}.{part}" for name in names))
        state[f"{ours}.{COUNT}"] = take(f"{names[0]}.{COUNT}")

    downsamplings = blocks[0] - 2
    put("stem.0.weight", "1.ffc.convl2l.weight")
    norm("stem.1", "1.bn_l")
    for n in range(downsamplings):
        at = f"{n + 2}"
        parts = ("l", "g") if n == downsamplings - 1 else ("l",)  # the last one splits
        put(f"down.{n}.0.weight", *(f"{at}.ffc.convl2{part}.weight" for part in parts))
        norm(f"down.{n}.1", *(f"{at}.bn_{part}" for part in parts))
    for n, at in enumerate(blocks):
        for ours, name in ((f"blocks.{n}.first", "conv1"), (f"blocks.{n}.second", "conv2")):
            ffc = f"{at}.{name}.ffc"
            put(f"{ours}.to_local.weight", f"{ffc}.convl2l.weight", f"{ffc}.convg2l.weight", dim=1)
            put(f"{ours}.to_global.weight", f"{ffc}.convl2g.weight")
            put(f"{ours}.spectral.shrink.0.weight", f"{ffc}.convg2g.conv1.0.weight")
            norm(f"{ours}.spectral.shrink.1", f"{ffc}.convg2g.conv1.1")
            put(f"{ours}.spectral.fourier.conv.weight", f"{ffc}.convg2g.fu.conv_layer.weight")
            norm(f"{ours}.spectral.fourier.norm", f"{ffc}.convg2g.fu.bn")
            put(f"{ours}.spectral.grow.weight", f"{ffc}.convg2g.conv2.weight")
            norm(f"{ours}.norm", f"{at}.{name}.bn_l", f"{at}.{name}.bn_g")
    for n in range(downsamplings):
        at = blocks[-1] + 2 + 3 * n
        put(f"up.{n}.0.weight", f"{at}.weight")
        put(f"up.{n}.0.bias", f"{at}.bias")
        norm(f"up.{n}.1", f"{at + 1}")
    head = blocks[-1] + 3 + 3 * downsamplings
    put("head.weight", f"{head}.weight")
    put("head.bias", f"{head}.bias")

    doubled = {k for k in theirs.values() if k.endswith(f"bn_g.{COUNT}")}  # as bn_l's
    if unknown := sorted(set(theirs.values()) - taken - doubled):
        raise WeightsError(f"generator tensor '{unknown[0]}' has no place in LaMa's layout")
    wide, channels = (
        state["blocks.0.first.to_global.weight"].shape[0],
        len(state["blocks.0.first.norm.weight"]),
    )
    settings = LaMaSettings(
        width=len(state["stem.0.weight"]),
        blocks=len(blocks),
        downsamplings=downsamplings,
        ratio=wide / channels,
    )
    return Converted(settings, state, sorted(set(tensors) - taken))
