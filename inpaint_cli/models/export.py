"""Networks as ONNX files, which fill without torch; each is compared with the network it is of."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .. import registry
from ..api.fillers import Filler
from ..api.formats import ForeignFiller
from ..api.sizes import Sizes
from ..errors import WeightsError
from ..files.write import atomic_path
from .weights import StoredNetwork, read_weights

OPSET = 18  # of 2022: what onnxruntime has known since 1.14
LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file that was written, and how far it is from the network on random photos."""

    path: Path
    bytes: int
    difference: float


def export_onnx(source: Path, target: Path, *, notes: Mapping[str, str]) -> OnnxExport:
    """Write the network in the weights file `source` to `target` as ONNX, for photos of any size.

    `notes` go into its header. Raises `WeightsError` where the network cannot be exported, and
    writes nothing where the file would not fill as the network does.
    """
    network = read_weights(source)
    refuse_dynamic(network, source)
    header = {
        **{k: v for k, v in network.header.items() if k != "format"},
        **notes,
        "sizes": json.dumps(asdict(network.sizes)),
    }
    with atomic_path(target) as temporary:
        write_graph(ExportedNetwork(network.net), network.sizes, temporary)
        write_header(temporary, header)
        filler: ForeignFiller = registry.load_plugin("formats", "onnx").read(temporary)
        difference = compare_fills(network, filler)
        if not difference <= LARGEST_DIFFERENCE:
            raise WeightsError(
                f"{network.name} cannot be exported: as ONNX it fills by up to {difference:.2g} of"
                f" the range differently, more than {LARGEST_DIFFERENCE}"
            )
    return OnnxExport(target, target.stat().st_size, difference)


def refuse_dynamic(network: StoredNetwork, source: Path) -> None:
    """Raise `WeightsError` where the network is no fixed sequence of operators."""
    if network.architecture is None:
        raise WeightsError(f"{source} has no header of inpaint; `inpaint weights convert` first")
    reason = network.architecture.no_onnx
    if network.stochastic:
        reason = "it draws at random, which a file cannot do by our seed"
    if reason:
        raise WeightsError(f"{network.name} cannot be exported as ONNX: {reason}")


class ExportedNetwork(nn.Module):
    """A network as the file has it: its fill in 0..1 in the hole, and the photo elsewhere."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = replace_layers(fix_weights(copy.deepcopy(net).eval())).requires_grad_(False)

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        out = self.net(visible, mask)
        image = out if isinstance(out, Tensor) else out[0]
        return torch.where(mask > 0, image.clamp(0, 1), visible)


class FixedWeight(nn.Module):
    """A weight that was computed of others, such as by spectral norm: a constant from then on."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())

    def forward(self) -> Tensor:
        return self.get_buffer("weight")


def fix_weights(net: nn.Module) -> nn.Module:
    """Make constants of the weights of `net` that are computed of others; it shares no modules."""
    for module in net.modules():
        if parametrize.is_parametrized(module):
            computed: Any = module.parametrizations
            for name in [*computed]:
                computed[name] = FixedWeight(getattr(module, name))
    return net


def replace_layers(net: nn.Module) -> nn.Module:
    """Replace each layer that has a `for_export` by what that returns."""
    for name, child in net.named_children():
        other = getattr(child, "for_export", None)
        setattr(net, name, other() if other else replace_layers(child))
    return net


def write_graph(net: nn.Module, sizes: Sizes, path: Path) -> None:
    """Trace `net` into an ONNX file for any height and width."""
    example = draw_example(sizes, 64, 96)
    dynamic = {name: {2: "height", 3: "width"} for name in ("visible", "mask", "image")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about its own future
            torch.onnx.export(
                net,
                example,
                str(path),
                input_names=["visible", "mask"],
                output_names=["image"],
                dynamic_axes=dynamic,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"the network cannot be exported as ONNX: {reason}") from error


def write_header(path: Path, header: Mapping[str, str]) -> None:
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(header))
    onnx.save(model, path)


def compare_fills(network: StoredNetwork, exported: ForeignFiller) -> float:
    """Return the largest difference of the fills of random photos of two sizes."""
    filler = exported.make("cpu")
    return max(
        float(np.abs(fill_both(network, filler, *network.sizes.fit(*size))).max())
        for size in ((64, 96), (100, 70))
    )


def fill_both(
    network: StoredNetwork, filler: Filler, height: int, width: int
) -> NDArray[np.float32]:
    """Return the difference of two fills of a random photo."""
    visible, mask = draw_example(network.sizes, height, width)
    with torch.inference_mode():
        out = network.net(visible, mask)
    image = (out if isinstance(out, Tensor) else out[0]).clamp(0, 1)
    rgb, hole = visible[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() > 0
    filled = filler.fill(rgb.copy(), hole, np.random.default_rng(0))
    return (filled - image[0].permute(1, 2, 0).numpy())[hole]


def draw_example(sizes: Sizes, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return a random photo without its hole, and the hole, of a size that is taken."""
    height, width = sizes.fit(height, width)
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return image * (1 - mask), mask
