"""LPIPS (Zhang et al. 2018), with the package and weights of its authors."""

import warnings
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from inpaint_cli.api import ImageMetric, load_backbone, load_pickle, unit

from .backbones import NetworkWeights, freeze_network, randomise
from .regions import REGION, RING, MetricRegion, mean_over, region_mask

TRUNKS = {"alex": "alexnet", "vgg": "vgg16"}


class LPIPS(ImageMetric):
    """Learned perceptual distance, version 0.1, of images scaled to -1..1.

    In a region, the mean over it of the sum of the layers' distance maps, resized to the image.
    """

    better = "lower"
    uses = ("lpips",)
    net: Literal["alex", "vgg"] = Field(default="alex", description="AlexNet or VGG-16.")
    weights: NetworkWeights = Field(default="published", description="Weights of the network.")
    region: MetricRegion = Field(default="full", description=REGION)
    ring: PositiveInt = Field(default=8, description=RING)

    def note(self) -> str:
        return "random features" if self.weights == "random" else ""

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        net = lpips_network(self.net, self.weights, self.region != "full").to(filled.device)
        out, real = (unit(image, torch.float32) * 2 - 1 for image in (filled, truth))
        with torch.inference_mode():
            distance = net(out, real).double()
        if self.region == "full":
            return distance.flatten()
        return mean_over(distance, region_mask(mask, self.region, self.ring))


@cache
def lpips_network(
    trunk: Literal["alex", "vgg"], weights: NetworkWeights, spatial: bool
) -> nn.Module:
    """Return the network of the package, which includes the weights of its linear layers only."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses deprecated names of torchvision
        net = lpips.LPIPS(
            net=trunk, spatial=spatial, pretrained=False, pnet_rand=True, verbose=False
        )
    if weights == "random":
        randomise(net.net)
    else:
        trunk_weights = load_backbone(TRUNKS[trunk])
        for part in net.net.children():  # slices of the trunk, with the original layer numbers
            for number, layer in part.named_children():
                own = {key: trunk_weights[f"features.{number}.{key}"] for key in layer.state_dict()}
                layer.load_state_dict(own)
    lines = Path(lpips.__file__).parent / f"weights/v0.1/{trunk}.pth"
    missing, unexpected = net.load_state_dict(load_pickle(lines), strict=False)
    assert not unexpected
    assert not any(name.startswith("lin") and not name.startswith("lins") for name in missing)
    return freeze_network(net)
