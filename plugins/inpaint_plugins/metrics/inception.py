"""The Inception network of FID: that of pytorch-fid, with its batch norms folded.

Folding batch norms into the convolutions, and the channels-last memory format, save time in small
batches on a CPU; features change by rounding only. By default images are resized to 299 pixels
bilinearly without antialiasing, as in pytorch-fid and its published scores.
"""

from functools import cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from inpaint_cli.api import SetMetric, load_backbone, unit

from .backbones import NetworkWeights, freeze_network, randomise

SIDE = 299  # pixels of what the network sees


class InceptionMetric(SetMetric):
    """Base of the metrics on Inception features."""

    uses = ("pytorch-fid",)
    few = 2048  # the number of features
    weights: NetworkWeights = Field(default="published", description="Weights of the network.")
    resize: Literal["bilinear", "clean"] = Field(
        default="bilinear",
        description="How images come to 299 pixels: bilinearly without antialiasing, as in "
        "pytorch-fid; or by Pillow's bicubic filter without rounding, as in clean-fid (clean).",
    )

    def note(self) -> str:
        notes = ["random features"] * (self.weights == "random")
        return ", ".join([*notes, *["clean"] * (self.resize == "clean")])

    @property
    def extractor(self) -> str:
        return f"inception-fid {self.weights}" + ", clean" * (self.resize == "clean")

    def features(self, images: Tensor) -> Tensor:
        net = inception_network(self.weights).to(images.device)
        with torch.inference_mode():
            levels = unit(images, torch.float32)
            resize = resize_clean if self.resize == "clean" else resize_bilinear
            return inception_features(net, resize(levels))


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
    from torchvision.models import inception_v3  # takes a second: only where it is needed

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
        conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return net


def resize_bilinear(images: Tensor) -> Tensor:
    """Return images [N, 3, H, W] in 0..1 as [N, 3, 299, 299] in -1..1, as in pytorch-fid."""
    return F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1


def resize_clean(images: Tensor) -> Tensor:
    """Return images [N, 3, H, W] in 0..1 as [N, 3, 299, 299] in -1..1, as in clean-fid.

    Each channel is resized as floats of 0..255, which then are the offset from 128 over 128.
    """
    planes = (255 * images.double()).float().cpu().numpy().reshape(-1, *images.shape[-2:])
    resized = np.stack(
        [
            np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            for plane in planes
        ]
    )
    levels = torch.from_numpy(resized.clip(0, 255)).to(images.device)
    return (levels.view(-1, 3, SIDE, SIDE) - 128) / 128


def inception_features(net: nn.Module, x: Tensor) -> Tensor:
    """Return the pooled features [N, 2048] of images [N, 3, 299, 299] in -1..1."""
    x = x.contiguous(memory_format=torch.channels_last)
    for name, layer in net.named_children():  # in the order of their definition
        if name == "avgpool":
            break
        x = layer(x)
    return x.mean((2, 3))
