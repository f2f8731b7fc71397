"""Pretext models: frozen classifiers whose features of the whole image the priors learn.

Each returns three maps [N, C, h, w], fine to coarse, of an RGB image in 0..1 of any size. Weights
are buffers outside the state dict. The paper uses TResNet-L (Ridnik et al., WACV 2021) trained on
OpenImages with the asymmetric loss; torchvision's ResNets are easier to obtain. Results trained
with different models are not comparable.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from inpaint_cli.api import WeightsError, load_backbone, load_pickle, weights_stand_in

from .prior import PriorLearner
from .settings import PretextName, SPNSettings


def conv_norm(
    inputs: int, outputs: int, kernel: int, *, slope: float | None = None
) -> nn.Sequential:
    """Make a convolution with batch norm, and a leaky ReLU if it has a `slope`."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    layers = nn.Sequential(conv, nn.BatchNorm2d(outputs))
    return layers if slope is None else layers.append(nn.LeakyReLU(slope))


class SpaceToDepth(nn.Module):
    """Squares of 4 x 4 pixels to channels: [N, 48, H/4, W/4], channel (4 dy + dx) 3 + c."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(n, 16 * c, h // 4, w // 4)


class BlurPool(nn.Module):
    """Blur by [1, 2, 1] x [1, 2, 1] / 16, then half the size."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", row[:, None] * row, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), kernel, stride=2, groups=channels)


class SqueezeExcite(nn.Module):
    """Squeeze and excitation: channels weighted by a function of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 64, 1), nn.Conv2d(64, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class TResBlock(nn.Module):
    """TResNet's basic block."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, outputs, 3, slope=1e-3)
        self.downsample = nn.Sequential()
        if stride == 2:
            self.conv1 = nn.Sequential(self.conv1, BlurPool())
            self.downsample.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
            self.downsample.append(conv_norm(inputs, outputs, 1))
        self.conv2 = conv_norm(outputs, outputs, 3)
        self.se = SqueezeExcite(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se(self.conv2(self.conv1(x))) + self.downsample(x))


class PretextFeatures(nn.Module):
    """Three stages in sequence, always in eval mode; the output of each is returned."""

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
        freeze_weights(self.stages.eval())

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image - self.mean) / self.std
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def train(self, mode: bool = True) -> "PretextFeatures":
        return super().train(False)


class EdgeMaps(PretextFeatures):
    """EdgeConnect's edge maps (Canny, sigma 2) at the sizes of the priors ("SPN w/ edge")."""

    def __init__(self) -> None:
        super().__init__("edges", [], (1, 1, 1))

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        edges = [canny_edges(one) for one in image.float().mean(1).cpu().numpy()]
        maps = torch.from_numpy(np.stack(edges))[:, None].to(image)
        return [F.avg_pool2d(maps, factor) for factor in (2, 4, 8)]


def canny_edges(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the edges, 0 or 1, of `gray` [H, W] in 0..1, by the thresholds 0.1 and 0.2."""
    smooth = cv2.GaussianBlur(np.rint(gray * 255).astype(np.uint8), (0, 0), 2)
    return (cv2.Canny(smooth, 25.5, 51, L2gradient=True) > 0).astype(np.float32)


class LearnedPriors(PretextFeatures):
    """The priors of a trained SPN, which sees the whole image (table 5)."""

    def __init__(self, file: Path | None) -> None:
        prior, width = load_prior(file)
        super().__init__("spn", [prior], (width, 2 * width, 4 * width))

    @torch.no_grad()
    def forward(self, image: Tensor) -> list[Tensor]:
        image = F.avg_pool2d(image, 2)  # the learner enlarges it again
        priors, _, _ = self.stages[0](image, torch.zeros_like(image[:, :1]))
        return priors


def load_prior(file: Path | None) -> tuple[PriorLearner, int]:
    """Return the prior learner in a weights file of spn, and its width. Raises `WeightsError`."""
    if file is None and weights_stand_in():
        settings = SPNSettings.model_validate({})
        return PriorLearner(settings), settings.width
    if file is None:
        raise WeightsError("pretext spn needs the weights of an SPN: set task.pretext_file")
    try:
        with safe_open(file, "pt") as weights:
            header = weights.metadata() or {}
            settings = SPNSettings.model_validate_json(header["settings"])
            tensors = {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118
        if header["architecture"] != "spn" or settings.levels != 3:
            raise ValueError(f"'{header['architecture']}'")
    except Exception as error:  # of the file, its header, or its settings
        raise WeightsError(
            f"{file} has no weights of an SPN with three levels ({error}); correct "
            "task.pretext_file"
        ) from error
    prior, part = PriorLearner(settings), "prior."
    prior.load_state_dict({k.removeprefix(part): t for k, t in tensors.items() if part in k[:6]})
    return prior, settings.width


def make_pretext(name: PretextName, file: Path | None = None) -> PretextFeatures | None:
    """Make the model `name`; None for "none". `file` has the weights of tresnet_l or spn.

    "random" is TResNet-L with torch's own initial weights from a fixed seed [choice]: the authors'
    start each block as its shortcut, with the scale of its last norm at 0. Raises `WeightsError` if
    published weights are missing or incomplete.
    """
    if name == "none":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "edges":
            return EdgeMaps()
        if name == "spn":
            return LearnedPriors(file)
        return make_tresnet(name, file) if name in ("tresnet_l", "random") else make_resnet(name)


def make_resnet(name: str) -> PretextFeatures:
    """Return stem, first and second layer of torchvision's ResNet, at 1/2, 1/4 and 1/8."""
    net: Any = models.get_model(name, weights=None)
    net.load_state_dict(load_backbone(name, net.state_dict))
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


def make_tresnet(name: str, file: Path | None) -> PretextFeatures:
    """Return stem, first and second layer of TResNet-L, at 1/4, 1/4 and 1/8."""
    layers: dict[str, nn.Module] = {  # named as in the published files
        "conv1": conv_norm(48, 76, 3, slope=1e-2),
        "layer1": nn.Sequential(*(TResBlock(76, 76) for _ in range(4))),
        "layer2": nn.Sequential(
            TResBlock(76, 152, stride=2), *(TResBlock(152, 152) for _ in range(4))
        ),
    }
    if name == "tresnet_l" and not (file is None and weights_stand_in()):
        if file is None:
            raise WeightsError(
                "pretext tresnet_l needs its weights: set task.pretext_file to the file of"
                " TResNet-L on OpenImages in the model zoo of the asymmetric loss (ASL), or"
                " task.pretext to resnet34"
            )
        load_tresnet(nn.ModuleDict(layers), file)
    stem = nn.Sequential(SpaceToDepth(), layers["conv1"])
    return PretextFeatures(name, [stem, layers["layer1"], layers["layer2"]], (76, 76, 152))


def load_tresnet(layers: nn.ModuleDict, file: Path) -> None:
    """Load a published file of TResNet-L. Raises `WeightsError`, which names a missing tensor.

    Its in-place norms have the scale |weight| + 1e-5, which is stored as our weight.
    """
    if not file.exists():
        raise WeightsError(f"there is no {file}; correct task.pretext_file", path=file)
    checkpoint = load_pickle(file)
    while isinstance(inner := checkpoint.get("state_dict", checkpoint.get("model")), Mapping):
        checkpoint = inner
    theirs = {key.removeprefix("module.").removeprefix("body."): t for key, t in checkpoint.items()}
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


def freeze_weights(net: nn.Module) -> None:
    """Turn all parameters into buffers outside the state dict."""
    for module in net.modules():
        for name, parameter in [*module.named_parameters(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in [*module.named_buffers(recurse=False)]:
            module.register_buffer(name, buffer, persistent=False)
