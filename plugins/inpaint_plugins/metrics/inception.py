"""The Inception network by which FID is defined: pytorch-fid's, rebuilt without its batch norms.

Batch normalisation is folded into the convolutions and memory lies channels last, which saves time
in small batches on a processor and moves features by rounding only. Pictures are enlarged to 299
pixels bilinearly without antialiasing, as pytorch-fid does and its published numbers assume.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d, inception_v3

from inpaint_cli.api import SetMetric, load_backbone, unit

from .backbones import Weights, frozen, randomised


class InceptionMetric(SetMetric):
    """What the metrics on Inception features share."""

    uses = ("pytorch-fid",)
    weights: Weights = "published"

    def note(self) -> str:
        return "random features" if self.weights == "random" else ""

    @property
    def extractor(self) -> str:
        return f"inception-fid {self.weights}"

    def features(self, images: Tensor) -> Tensor:
        net = network(self.weights).to(images.device)
        with torch.inference_mode():
            return extract(net, unit(images, torch.float32))


@cache
def network(weights: Weights) -> nn.Module:
    net = layers()
    if weights == "random":
        randomised(net)
    else:
        net.load_state_dict(load_backbone("inception-fid"))
    return folded(net).to(memory_format=torch.channels_last)


def layers() -> nn.Module:
    """pytorch-fid's variant of torchvision's network, as yet without weights."""
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


def folded(net: nn.Module) -> nn.Module:
    """`net`, ready to infer, with each batch norm merged into the convolution before it."""
    frozen(net)
    for module in net.modules():
        if isinstance(module, BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()  # type: ignore[assignment]
    return net


def extract(net: nn.Module, images: Tensor) -> Tensor:
    """The pooled features [N, 2048] of images [N, 3, H, W] in 0..1."""
    x = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False) * 2 - 1
    x = x.contiguous(memory_format=torch.channels_last)
    for name, layer in net.named_children():  # in the order in which they were made
        if name == "avgpool":
            break
        x = layer(x)
    return x.mean((2, 3))
