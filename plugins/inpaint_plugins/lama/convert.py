"""Conversion of the authors' checkpoints: the names of their tensors, and which of them to join.

Their generator is one sequence: padding, stem, downsamplings, Fourier blocks, a joining step, then
convolution, norm and activation for each upsampling, padding and head. Local and global channels
are separate tensors there and one tensor here, so some of our tensors are two of theirs, joined.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from inpaint_cli.api import Converted, WeightsError

from .settings import LaMaSettings

GENERATOR_PREFIX = re.compile(r"(generator|model)\.model\.(?=\d)")
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
NORM_COUNT = "num_batches_tracked"


def convert_generator(tensors: Mapping[str, Tensor]) -> Converted | None:
    """Return `tensors` as our settings and state; None if they hold no generator of LaMa.

    Raises `WeightsError` if a tensor is missing or has no place in the layout.
    """
    theirs = {GENERATOR_PREFIX.sub("", k, 1): k for k in tensors if GENERATOR_PREFIX.match(k)}
    blocks = sorted({int(k.split(".")[0]) for k in theirs if ".conv1.ffc." in k})
    if not blocks:
        return None
    layout = GeneratorLayout(tensors, theirs)
    downsamplings = blocks[0] - 2
    layout.convert_encoder(downsamplings)
    for n, index in enumerate(blocks):
        layout.convert_block(f"blocks.{n}.first", f"{index}.conv1")
        layout.convert_block(f"blocks.{n}.second", f"{index}.conv2")
    layout.convert_decoder(downsamplings, start=blocks[-1] + 2)
    layout.check_complete()
    state = layout.state
    settings = LaMaSettings(
        width=len(state["stem.0.weight"]),
        blocks=len(blocks),
        downsamplings=downsamplings,
        ratio=len(state["blocks.0.first.to_global.weight"])
        / len(state["blocks.0.first.norm.weight"]),
    )
    return Converted(settings, state, sorted(set(tensors) - layout.used))


class GeneratorLayout:
    """The authors' generator tensors, and those of ours that have been made from them."""

    def __init__(self, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self.tensors, self.names = tensors, names  # short name -> full name
        self.used: set[str] = set()  # full names
        self.state: dict[str, Tensor] = {}

    def take_tensor(self, name: str) -> Tensor:
        """Return their tensor `name`, and note that it is used."""
        if name not in self.names:
            raise WeightsError(
                f"the checkpoint has no generator tensor '{name}': not LaMa's layout"
            )
        self.used.add(self.names[name])
        return self.tensors[self.names[name]]

    def join_tensors(self, ours: str, *names: str, dim: int = 0) -> None:
        """Make our tensor `ours` from theirs, end to end."""
        self.state[ours] = torch.cat([self.take_tensor(name) for name in names], dim)

    def join_norms(self, ours: str, *names: str) -> None:
        """Make our batch norm `ours` from theirs."""
        for part in NORM_PARTS:
            self.join_tensors(f"{ours}.{part}", *(f"{name}.{part}" for name in names))
        self.state[f"{ours}.{NORM_COUNT}"] = self.take_tensor(f"{names[0]}.{NORM_COUNT}")

    def convert_encoder(self, downsamplings: int) -> None:
        """Convert the stem and the strided convolutions."""
        self.join_tensors("stem.0.weight", "1.ffc.convl2l.weight")
        self.join_norms("stem.1", "1.bn_l")
        for n in range(downsamplings):
            index = n + 2
            parts = ("l", "g") if n == downsamplings - 1 else ("l",)  # the last one splits
            self.join_tensors(
                f"down.{n}.0.weight", *(f"{index}.ffc.convl2{p}.weight" for p in parts)
            )
            self.join_norms(f"down.{n}.1", *(f"{index}.bn_{part}" for part in parts))

    def convert_block(self, ours: str, theirs: str) -> None:
        """Convert a fast Fourier convolution."""
        ffc = f"{theirs}.ffc"
        self.join_tensors(
            f"{ours}.to_local.weight", f"{ffc}.convl2l.weight", f"{ffc}.convg2l.weight", dim=1
        )
        self.join_tensors(f"{ours}.to_global.weight", f"{ffc}.convl2g.weight")
        self.join_tensors(f"{ours}.spectral.shrink.0.weight", f"{ffc}.convg2g.conv1.0.weight")
        self.join_norms(f"{ours}.spectral.shrink.1", f"{ffc}.convg2g.conv1.1")
        self.join_tensors(
            f"{ours}.spectral.fourier.conv.weight", f"{ffc}.convg2g.fu.conv_layer.weight"
        )
        self.join_norms(f"{ours}.spectral.fourier.norm", f"{ffc}.convg2g.fu.bn")
        self.join_tensors(f"{ours}.spectral.grow.weight", f"{ffc}.convg2g.conv2.weight")
        self.join_norms(f"{ours}.norm", f"{theirs}.bn_l", f"{theirs}.bn_g")

    def convert_decoder(self, upsamplings: int, *, start: int) -> None:
        """Convert the transposed convolutions, the first with the index `start`, and the head."""
        for n in range(upsamplings):
            index = start + 3 * n
            self.join_tensors(f"up.{n}.0.weight", f"{index}.weight")
            self.join_tensors(f"up.{n}.0.bias", f"{index}.bias")
            self.join_norms(f"up.{n}.1", f"{index + 1}")
        head = start + 1 + 3 * upsamplings
        self.join_tensors("head.weight", f"{head}.weight")
        self.join_tensors("head.bias", f"{head}.bias")

    def check_complete(self) -> None:
        """Raise `WeightsError` if a generator tensor was not used."""
        repeated = {k for k in self.names.values() if k.endswith(f"bn_g.{NORM_COUNT}")}  # as bn_l's
        if unknown := sorted(set(self.names.values()) - self.used - repeated):
            raise WeightsError(f"generator tensor '{unknown[0]}' has no place in LaMa's layout")
