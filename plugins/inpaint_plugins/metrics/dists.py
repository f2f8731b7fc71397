"""DISTS (Ding et al. 2020): similarity of structure and texture of VGG's features.

The weights of its terms are those in the package of its authors; the network is ours, on VGG's
published weights. Tested against that package in benchmarks/metrics_peers.py.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import ImageMetric, InpaintError, load_backbone, load_pickle, unit

from .backbones import NetworkWeights, freeze_network, randomise

PACKAGE = "DISTS_pytorch"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = ((0, 4), (5, 9), (10, 16), (17, 23), (24, 30))  # layers of VGG; pooling in between
CHANNELS = (3, 64, 128, 256, 512, 512)
SMALL = 1e-6


class DISTS(ImageMetric):
    """Deep image structure and texture similarity, of whole images.

    Needs the extra `dists`, and VGG's published weights.
    """

    better = "lower"
    uses = ("dists-pytorch",)
    weights: NetworkWeights = Field(default="published", description="Weights of the network.")

    def note(self) -> str:
        return "random features" if self.weights == "random" else ""

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        net = dists_network(self.weights).to(filled.device)
        with torch.inference_mode():
            out, real = (net(unit(image, torch.float32)) for image in (filled, truth))
            shares = term_weights().to(filled.device)
            similar = [term for pair in zip(out, real, strict=True) for term in compare(*pair)]
            return 1 - (torch.cat(similar, 1) * shares).sum(1).double()


def compare(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the similarity of texture and of structure of two features, [N, C] each."""
    mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
    texture = (2 * mean_x * mean_y + SMALL) / (mean_x.square() + mean_y.square() + SMALL)
    variances = x.var((2, 3), correction=0) + y.var((2, 3), correction=0)
    covariance = (x * y).mean((2, 3)) - mean_x * mean_y
    return texture, (2 * covariance + SMALL) / (variances + SMALL)


@cache
def term_weights() -> Tensor:
    """Return the weights of all terms in the order of `compare`, with a sum of 1."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InpaintError("dists needs a package that is not installed: pip install "
                           "'inpaint-cli[dists]'")  # fmt: skip
    values = load_pickle(Path(spec.origin).parent / "weights.pt")
    texture, structure = (values[key].flatten().split(CHANNELS) for key in ("alpha", "beta"))
    line = torch.cat([part for pair in zip(texture, structure, strict=True) for part in pair])
    return line / line.sum()


class DISTSNetwork(nn.Module):
    """The image itself and five stages of VGG-16, whose pooling is the root of blurred squares."""

    def __init__(self) -> None:
        from torchvision.models import vgg16  # takes a second: only where it is needed

        super().__init__()
        self.layers = vgg16(weights=None).features
        line = torch.tensor([1.0, 2.0, 1.0])  # a Hann window of five without its zeros
        self.window = torch.outer(line, line) / line.sum() ** 2

    def forward(self, image: Tensor) -> list[Tensor]:
        mean, deviation = (image.new_tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        x, features = (image - mean) / deviation, [image]
        for number, (first, last) in enumerate(STAGES):
            if number:
                window = self.window.to(x).expand(x.shape[1], 1, 3, 3)
                squares = F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1])
                x = (squares + 1e-12).sqrt()
            x = self.layers[first:last](x)  # type: ignore[operator]
            features.append(x)
        return features


@cache
def dists_network(weights: NetworkWeights) -> nn.Module:
    """Return the network, ready to infer."""
    net = DISTSNetwork()
    if weights == "random":
        randomise(net)
    else:
        own = load_backbone("vgg16")
        net.layers.load_state_dict(
            {k.removeprefix("features."): v for k, v in own.items() if k.startswith("features.")}
        )
    for layer in net.layers.children():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # or the features of a stage would be lost
    return freeze_network(net)
