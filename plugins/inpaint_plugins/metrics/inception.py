"""The Inception network of FID: that of pytorch-fid, with its batch norms folded.

Folding batch norms into the convolutions, and the channels-last memory format, save time in small
batches on a CPU; features change by rounding only. Images are resized to 299 pixels bilinearly
without antialiasing, as in pytorch-fid and its published scores.
"""

from functools import cache

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d, inception_v3

from inpaint_cli.api import SetMetric, load_backbone, unit

from .backbones import NetworkWeights, freeze_network, randomise


class InceptionMetric(SetMetric):
    """Base of the metrics on Inception features."""

    uses = ("pytorch-fid",)
    weights: NetworkWeights = Field(default="published", description="Weights of the network.")

    def note(self) -> str:
        return "random features" if self.weights == "random" else ""

    @property
    def extractor(self) -> str:
        return f"inception-fid {self.weights}"

    def features(self, images: Tensor) -> Tensor:
        net = inception_network(self.weights).to(images.device)
        with torch.inference_mode():
            return inception_features(net, unit(images, torch.float32))


@cache
def inception_network(weights: NetworkWeights) -> nn.Module:
    """Return the network, ready to infer."""
    net = inception_layers()
    if weights == "random":
        randomise(net)
    else:
        net.load_state_dict(load_backbone("inception-fid"))
    return fold_batch_norms(net).to(memory_format=torch.channels_last)


def inception_layers() -> nn.Module:
    """Return the variant of torchvision's network that pytorch-fid uses, without weights."""
    from pytorch_fid import inception as fid

    net = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    for name, block in {
        "Mixed_5b": fid.FIDInceptionA(192, 32),
        "Mixed_5c": fid.FIDInceptionA(256, 64),
        "Mixed_5d": fid.FIDInceptionA(288, 64),
        "Mixed_6b": fid.FIDInceptionC(768, 128),
        "Mixed_6c": fid.FIDInceptionC(768, 160),
        "Mixed_6d": fid.FIDInceptionC(768, 160),
        "Mixed_6e": fid.FIDInceptionC(768, 192),
        "Mixed_7b": fid.FIDInceptionE_1(1280),
        "Mixed_7c": fid.FIDInceptionE_2(2048),
    }.items():
        setattr(net, name, block)
    return net


def fold_batch_norms(net: nn.Module) -> nn.Module:
    """Fold each batch norm of `net` into the convolution before it."""
    freeze_network(net)
    for module in net.modules():
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()  # type: ignore[assignment]
    return net


def inception_features(net: nn.Module, images: Tensor) -> Tensor:
    """Return the pooled features [N, 2048] of images [N, 3, H, W] in 0..1."""
    x = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False) * 2 - 1
    x = x.contiguous(memory_format=torch.channels_last)
    for name, layer in net.named_children():  # in the order of their definition
        if name == "avgpool":
            break
        x = layer(x)
    return x.mean((2, 3))
