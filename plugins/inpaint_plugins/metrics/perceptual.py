"""LPIPS (Zhang et al. 2018), with its authors' package and weights."""

import warnings
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from inpaint_cli.api import ImageMetric, load_backbone, unit

from .backbones import Weights, frozen, randomised
from .regions import Region, inside, mean_over

TRUNKS = {"alex": "alexnet", "vgg": "vgg16"}


class LPIPS(ImageMetric):
    """Learned perceptual distance, version 0.1, on pictures scaled to -1..1.

    In a region it is the mean of the distances of all layers, enlarged to the picture's size.
    """

    better = "lower"
    uses = ("lpips",)
    net: Literal["alex", "vgg"] = "alex"
    weights: Weights = "published"
    region: Region = "full"
    ring: PositiveInt = 8  # pixels, where the region is "ring"

    def note(self) -> str:
        return "random features" if self.weights == "random" else ""

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        net = network(self.net, self.weights, self.region != "full").to(filled.device)
        out, real = (unit(image, torch.float32) * 2 - 1 for image in (filled, truth))
        with torch.inference_mode():
            distance = net(out, real).double()
        if self.region == "full":
            return distance.flatten()
        return mean_over(distance, inside(mask, self.region, self.ring))


@cache
def network(trunk: Literal["alex", "vgg"], weights: Weights, spatial: bool) -> nn.Module:
    """The package's network; only its linear layers come with the package."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision by names that have been renamed
        net = lpips.LPIPS(
            net=trunk, spatial=spatial, pretrained=False, pnet_rand=True, verbose=False
        )
    if weights == "random":
        randomised(net.net)
    else:
        trunk_weights = load_backbone(TRUNKS[trunk])
        for part in net.net.children():  # slices of the trunk, whose layers kept their numbers
            for number, layer in part.named_children():
                own = {key: trunk_weights[f"features.{number}.{key}"] for key in layer.state_dict()}
                layer.load_state_dict(own)
    lines = Path(lpips.__file__).parent / f"weights/v0.1/{trunk}.pth"
    missing, unexpected = net.load_state_dict(
        torch.load(lines, "cpu", weights_only=True), strict=False
    )
    assert not unexpected
    assert not any(name.startswith("lin") and not name.startswith("lins") for name in missing)
    return frozen(net)
