"""Face parsing: the region, of 14, of each pixel, from a network or a fixed map.

BiSeNet (Yu et al., ECCV 2018) on a ResNet-18, whose stride-8 features replace the spatial path,
with the layout and names of the public face checkpoint. That has 19 regions; they are merged into
14 by one of two groupings [choice].
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import WeightsError, is_exporting, load_backbone, load_pickle

from .settings import ClassOrder, RegionMerge

REGION_COUNT = 14
CROP_SHARE = 448 / 512  # of an image's side, on which BiSeNet is trained
CLASS_ORDERS: dict[ClassOrder, tuple[str, ...]] = {  # class names by their number in label maps
    "bisenet": (
        *("background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses"),
        *("left ear", "right ear", "earring", "nose", "mouth", "upper lip", "lower lip"),
        *("neck", "necklace", "cloth", "hair", "hat"),
    ),
    "celebamask-hq": (
        *("background", "skin", "nose", "glasses", "left eye", "right eye", "left brow"),
        *("right brow", "left ear", "right ear", "mouth", "upper lip", "lower lip", "hair"),
        *("hat", "earring", "necklace", "neck", "cloth"),
    ),
    "fasseg": ("background", "skin", "hair", "left eye", "nose", "mouth"),  # both eyes
}
MERGED_REGIONS: dict[RegionMerge, tuple[int, ...]] = {  # region of each class in BiSeNet's order
    "A": (0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 8, 8, 9, 10, 11, 12, 13),
    "B": (0, 1, 2, 2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10, 10, 11, 12, 13),
}
FACE_ELLIPSES = {  # centre x, y and radii in shares of the sides, aligned as in CelebA-HQ
    "skin": [(0.5, 0.56, 0.28, 0.36)],
    "hair": [(0.5, 0.45, 0.40, 0.45)],
    "left ear": [(0.21, 0.56, 0.04, 0.09), (0.79, 0.56, 0.04, 0.09)],
    "left eye": [(0.375, 0.472, 0.055, 0.025), (0.625, 0.472, 0.055, 0.025)],
    "nose": [(0.5, 0.60, 0.065, 0.075)],
    "mouth": [(0.5, 0.75, 0.11, 0.04)],
}
FACE_BOXES = {  # centre x, y and half sides
    "cloth": [(0.5, 0.97, 0.5, 0.06)],
    "neck": [(0.5, 0.90, 0.16, 0.06)],
    "left brow": [(0.375, 0.405, 0.075, 0.018), (0.625, 0.405, 0.075, 0.018)],
}
DRAW_ORDER = ("hair", "cloth", "neck", "left ear", "skin", "left brow", "left eye", "nose", "mouth")


def region_lookup(order: ClassOrder, merge: RegionMerge) -> Tensor:
    """Return the region of each class of `order`, matched by name."""
    numbers = [CLASS_ORDERS["bisenet"].index(name) for name in CLASS_ORDERS[order]]
    return torch.tensor([MERGED_REGIONS[merge][number] for number in numbers])


def region_names(merge: RegionMerge) -> list[str]:
    """Return the names of the 14 regions."""
    words = [name.removeprefix("left ").removeprefix("right ") for name in CLASS_ORDERS["bisenet"]]
    return [words[MERGED_REGIONS[merge].index(region)] for region in range(REGION_COUNT)]


class FaceTemplate(nn.Module):
    """A fixed map of an aligned face in place of a parser, the same for every image.

    It is for use without weights of a parser; names of runs and captions say so. Regions that are
    not on the map (glasses, jewellery, hats) stay empty.
    """

    def __init__(self, merge: RegionMerge) -> None:
        super().__init__()
        self.lookup = dict(zip(CLASS_ORDERS["bisenet"], MERGED_REGIONS[merge], strict=True))

    def parse_regions(self, image: Tensor) -> Tensor:
        """Return the region of each pixel of `image` [N, 3, H, W]: [N, H, W]."""
        n, _, height, width = image.shape
        y = ((torch.arange(height, device=image.device) + 0.5) / height)[:, None]
        x = ((torch.arange(width, device=image.device) + 0.5) / width)[None]
        drawn = torch.zeros(height, width, dtype=torch.long, device=image.device)
        for name in DRAW_ORDER:
            for cx, cy, rx, ry in FACE_ELLIPSES.get(name, []):
                inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
                drawn = torch.where(inside, self.lookup[name], drawn)
            for cx, cy, hx, hy in FACE_BOXES.get(name, []):
                inside = ((x - cx).abs() <= hx) & ((y - cy).abs() <= hy)
                drawn = torch.where(inside, self.lookup[name], drawn)
        return drawn.expand(n, -1, -1)


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """The residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    """Features at strides 8, 16 and 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for n in range(1, 5):
            first = BasicBlock(widths[n - 1], widths[n], 1 if n == 1 else 2)
            self.add_module(f"layer{n}", nn.Sequential(first, BasicBlock(widths[n], widths[n], 1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)  # H/4
        features = []
        for n in range(1, 5):
            x = self.get_submodule(f"layer{n}")(x)
            features.append(x)
        return features[1:]


class AttentionRefinement(nn.Module):
    """ARM: channels weighted by their means over the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBlock(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(F.adaptive_avg_pool2d(x, 1))))


class ContextPath(nn.Module):
    """The backbone, with global context added to its coarse features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnet = ResNet18(width)
        self.arm16 = AttentionRefinement(4 * width, 2 * width)
        self.arm32 = AttentionRefinement(8 * width, 2 * width)
        self.conv_head32 = ConvBlock(2 * width, 2 * width)
        self.conv_head16 = ConvBlock(2 * width, 2 * width)
        self.conv_avg = ConvBlock(8 * width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at8, at16, at32 = self.resnet(x)
        whole = self.conv_avg(F.adaptive_avg_pool2d(at32, 1))
        up32 = F.interpolate(self.arm32(at32) + whole, at16.shape[-2:])  # nearest
        up32 = self.conv_head32(up32)  # N 2w H/16
        up16 = F.interpolate(self.arm16(at16) + up32, at8.shape[-2:])
        return at8, self.conv_head16(up16), up32  # N 2w H/8, N 2w H/8, N 2w H/16


class FeatureFusion(nn.Module):
    """FFM: both paths joined, then channels weighted and added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convblk = ConvBlock(4 * width, 4 * width, 1)
        self.conv1 = nn.Conv2d(4 * width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, 4 * width, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([spatial, context], 1))
        weight = self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1))))
        return x * torch.sigmoid(weight) + x


class ClassHead(nn.Module):
    """Features to logits of classes."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvBlock(inputs, hidden)
        self.conv_out = nn.Conv2d(hidden, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class AuxiliaryHeads(nn.Module):
    """The two heads that are used only in training."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.conv_out16 = ClassHead(2 * width, width, classes)
        self.conv_out32 = ClassHead(2 * width, width, classes)

    def forward(self, at8: Tensor, at16: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv_out16(at8), self.conv_out32(at16)


def shrink_to_square(image: Tensor, side: int) -> Tensor:
    """Resize `image` [N, C, H, W] to `side` pixels a side: bilinear, with antialiasing."""
    if not is_exporting():
        size = (side, side)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    down, across = (triangle_weights(n, side, image) for n in image.shape[-2:])
    return down @ image @ across.T


def triangle_weights(old: int, new: int, like: Tensor) -> Tensor:
    """Return the matrix [new, old] that resizes an axis as `F.interpolate` does.

    It is for files of fixed operators, among which there is no resizing with antialiasing.
    """
    scale = torch.as_tensor(old) / new
    place = (torch.arange(new, dtype=like.dtype, device=like.device) + 0.5) * scale
    pixel = torch.arange(old, dtype=like.dtype, device=like.device) + 0.5
    weights = (1 - (pixel - place[:, None]).abs() / scale.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


class BiSeNet(nn.Module):
    """The parser. Images are RGB in 0..1, resized to `size` pixels a side; in training, crops."""

    mean: Tensor
    std: Tensor
    lookup: Tensor

    def __init__(
        self, classes: int, merge: RegionMerge, *, size: int = 512, width: int = 64
    ) -> None:
        super().__init__()
        self.size, self.classes = size, classes
        self.cp = ContextPath(width)
        self.ffm = FeatureFusion(width)
        self.conv_out = ClassHead(4 * width, 4 * width, classes)
        for name, of in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(of).view(3, 1, 1), persistent=False)
        merged = (
            region_lookup("bisenet", merge)
            if classes != REGION_COUNT
            else torch.arange(REGION_COUNT)
        )
        self.register_buffer("lookup", merged, persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of all classes at stride 8, and the inputs of the auxiliary heads."""
        side = round(CROP_SHARE * self.size) if self.training else self.size
        x = shrink_to_square(image, side)
        spatial, at8, at16 = self.cp((x - self.mean) / self.std)
        return self.conv_out(self.ffm(spatial, at8)), at8, at16

    def region_logits(self, image: Tensor) -> Tensor:
        """Return logits of the regions [N, 14, H, W]; merged classes are added as probabilities."""
        logits = self(image)[0].float()
        if self.classes != REGION_COUNT:
            groups = [logits[:, self.lookup == region] for region in range(REGION_COUNT)]
            logits = torch.stack([group.logsumexp(1) for group in groups], 1)
        return F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=True)

    @torch.no_grad()
    def parse_regions(self, image: Tensor) -> Tensor:
        """Return the region of each pixel of `image` [N, 3, H, W]: [N, H, W]."""
        return self.region_logits(image).argmax(1)

    def load_backbone(self) -> None:
        """Start the backbone from ImageNet, as the public parser does. Raises `WeightsError`."""
        net = self.cp.resnet
        if net.conv1.out_channels != 64:
            raise WeightsError(
                "ResNet-18 trained on ImageNet fits model.parser_width=64 alone; set it, or set "
                "task.parser_start=random"
            )
        tensors = load_backbone("resnet18", net.state_dict)
        net.load_state_dict({key: tensors[key] for key in net.state_dict()})

    def load_checkpoint(self, path: Path) -> None:
        """Load a public checkpoint. Raises `WeightsError` if it does not fit."""
        if not path.exists():
            raise WeightsError(f"there is no {path}; correct task.parser_weights", path=path)
        tensors = load_pickle(path)
        try:
            count = tensors["conv_out.conv_out.weight"].shape[0]
        except (LookupError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path} is not a checkpoint of a BiSeNet face parser; give the public one"
            ) from error
        if count != self.classes:
            raise WeightsError(
                f"{path} has {count} classes, but the parser has {self.classes}; set "
                f"architectures.mdrnets.model.classes={count}, or give another file"
            )
        own = self.state_dict()
        wrong = [k for k in own if k not in tensors or tensors[k].shape != own[k].shape]
        if wrong:
            raise WeightsError(
                f"{path} does not fit the parser: {wrong[0]} and {len(wrong) - 1} more tensors are "
                "missing or of another shape; set model.parser_width to its own"
            )
        self.load_state_dict({key: tensors[key] for key in own})


FaceParser = BiSeNet | FaceTemplate


def ohem_loss(logits: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Sum over heads the mean cross-entropy of hard pixels (Shrivastava et al., CVPR 2016).

    Hard pixels are those whose class has a probability below 0.7, and at least 1/16 of all. Logits
    [N, C, h, w] are resized to `truth` [N, H, W].
    """
    total = logits[0].new_zeros(())
    for each in logits:
        full = F.interpolate(each.float(), truth.shape[-2:], mode="bilinear", align_corners=True)
        losses = F.cross_entropy(full, truth, reduction="none").flatten().sort(descending=True)[0]
        least = max(losses.numel() // 16, 1)
        hard = losses > -torch.log(torch.tensor(0.7))
        hard[:least] = True
        total = total + (losses * hard).sum() / hard.sum()
    return total
