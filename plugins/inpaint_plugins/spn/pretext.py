"""Pretext models: frozen networks whose features of the whole picture the priors are to learn.

Each gives three maps [N, C, h, w], fine to coarse, of an RGB image in 0..1 at any size. Their
weights are buffers that no state holds. TResNet-L (Ridnik et al., WACV 2021) trained on
OpenImages with the asymmetric loss is the paper's; torchvision's ResNets are easier to come by.
Features of different models are not comparable, nor are results learned from them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from inpaint_cli.api import WeightsError, load_backbone

Pretext = Literal["tresnet_l", "resnet34", "resnet50", "random", "none"]


class PretextFeatures(nn.Module):
    """Three stages, each of which works on what the one before gives; always in eval mode."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        stages: list[nn.Module],
        channels: tuple[int, int, int],
        *,
        mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
        std: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.name, self.channels = name, channels
        self.stages = nn.ModuleList(stages)
        for key, values in (("mean", mean), ("std", std)):
            self.register_buffer(key, torch.tensor(values).view(3, 1, 1), persistent=False)
        freeze(self.stages.eval())

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image - self.mean) / self.std
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def train(self, mode: bool = True) -> "PretextFeatures":
        return super().train(False)


def pretext(name: Pretext, file: Path | None = None) -> PretextFeatures | None:
    """The model called `name`; None for "none". `file` is for tresnet_l.

    "random" is TResNet-L as it begins, the same each time. Raises `WeightsError` where published
    weights are missing or incomplete.
    """
    if name == "none":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tresnet(name, file) if name in ("tresnet_l", "random") else resnet(name)


def resnet(name: str) -> PretextFeatures:
    """Stem, first and second layer of a ResNet of torchvision: 1/2, 1/4 and 1/8 of the size."""
    net: Any = models.get_model(name, weights=None)
    net.load_state_dict(load_backbone(name))
    wide = net.layer1[-1].bn2.num_features * (4 if name == "resnet50" else 1)
    return PretextFeatures(
        name,
        [
            nn.Sequential(net.conv1, net.bn1, net.relu),
            nn.Sequential(net.maxpool, net.layer1),
            net.layer2,
        ],
        (64, wide, 2 * wide),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def tresnet(name: str, file: Path | None) -> PretextFeatures:
    """Stem, first and second layer of TResNet-L: 1/4, 1/4 and 1/8 of the size."""
    layers: dict[str, nn.Module] = {  # named as in the published files
        "conv1": normed(48, 76, 3, slope=1e-2),
        "layer1": nn.Sequential(*(TResBlock(76, 76) for _ in range(4))),
        "layer2": nn.Sequential(
            TResBlock(76, 152, stride=2), *(TResBlock(152, 152) for _ in range(4))
        ),
    }
    if name == "tresnet_l":
        if file is None:
            raise WeightsError(
                "pretext tresnet_l needs its weights: set task.pretext_file to the file of"
                " TResNet-L trained on OpenImages, or task.pretext to resnet34"
            )
        load(nn.ModuleDict(layers), file)
    stem = nn.Sequential(SpaceToDepth(), layers["conv1"])
    return PretextFeatures(name, [stem, layers["layer1"], layers["layer2"]], (76, 76, 152))


class SpaceToDepth(nn.Module):
    """[N, 3, H, W] to [N, 48, H/4, W/4], channel (4 dy + dx) 3 + c."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(n, 16 * c, h // 4, w // 4)


class Blur(nn.Module):
    """Half the size after [1, 2, 1] x [1, 2, 1] / 16."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", row[:, None] * row, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), kernel, stride=2, groups=channels)


class Squeeze(nn.Module):
    """Each channel scaled by what the means of all channels say of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 64, 1), nn.Conv2d(64, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class TResBlock(nn.Module):
    """TResNet's basic block."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = normed(inputs, outputs, 3, slope=1e-3)
        self.downsample = nn.Sequential()
        if stride == 2:
            self.conv1 = nn.Sequential(self.conv1, Blur())
            self.downsample.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
            self.downsample.append(normed(inputs, outputs, 1))
        self.conv2 = normed(outputs, outputs, 3)
        self.se = Squeeze(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se(self.conv2(self.conv1(x))) + self.downsample(x))


def normed(inputs: int, outputs: int, kernel: int, *, slope: float | None = None) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    layers = nn.Sequential(conv, nn.BatchNorm2d(outputs))
    return layers if slope is None else layers.append(nn.LeakyReLU(slope))


def load(layers: nn.ModuleDict, file: Path) -> None:
    """Load a published file of TResNet-L; `WeightsError` names what is missing.

    Its norms were trained in place with the scale |weight| + 1e-5, which ours hold as such.
    """
    try:
        found = torch.load(file, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no {file}; correct task.pretext_file") from error
    except Exception as error:  # whatever unpickling may raise
        raise WeightsError(f"{file} cannot be read safely as a checkpoint; get it again") from error
    while isinstance(inner := found.get("state_dict", found.get("model")), Mapping):
        found = inner
    theirs = {key.removeprefix("module.").removeprefix("body."): t for key, t in found.items()}
    norms = {name for name, m in layers.named_modules() if isinstance(m, nn.BatchNorm2d)}
    state = {}
    for key, own in layers.state_dict().items():
        owner, _, part = key.rpartition(".")
        if part == "num_batches_tracked":
            state[key] = own
            continue
        tensor = theirs.get(key)
        if not isinstance(tensor, Tensor) or tensor.shape != own.shape:
            wrong = "has no tensor" if tensor is None else "has another shape of"
            raise WeightsError(
                f"{file} {wrong} '{key}', which TResNet-L needs; give the file of TResNet-L"
            )
        state[key] = tensor.abs() + 1e-5 if part == "weight" and owner in norms else tensor
    layers.load_state_dict(state)


def freeze(net: nn.Module) -> None:
    """Turn all parameters into buffers that no state holds."""
    for module in net.modules():
        for name, parameter in [*module.named_parameters(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in [*module.named_buffers(recurse=False)]:
            module.register_buffer(name, buffer, persistent=False)
