"""Train the small network that finds scratches and dust, on damage drawn over photos.

    python benchmarks/train_damage.py PHOTOS... -o damage.onnx [--minutes N]

PHOTOS are folders of clean photos, each shown at many scales, turned, mirrored, toned, in grey;
those of the file that is shipped are named in plugins/inpaint_plugins/finders/damage.md. It is
seeded, but the learning rate falls with the clock, so another machine learns other numbers.
Damage is drawn over parts of them: light and dark, whole and half-transparent, sharp and soft, in
any direction. So that the network does not take every line for a scratch, wires, railings and
letters are drawn into the scene too, before it is reduced, and count as photo. The file is for
OpenCV and holds, in half the photo's size, four chances a pixel of scratches and four of dust.
"""

import argparse
import io
import itertools
import warnings
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from inpaint_cli.testing.damage import VISIBLE, draw_curve, draw_words, soften
from inpaint_plugins.finders.network import prepare

Picture = NDArray[np.uint8]  # [H, W, 3]
Levels = NDArray[np.float32]  # [H, W] in 0..1

SIDE = 256  # pixels of a part of a photo
SCENE = 360  # pixels of it, at most, at which something is drawn into the scene
BATCH = 4
RATE = 2.5e-3
SEED = 0
CLEAN = 0.2  # of all parts show no damage
CHANNELS = 32, 40, 48, 64  # at a half, a quarter, an eighth, a sixteenth of the photo's size


class Block(nn.Module):
    """A convolution of each channel, 5 x 5, then of all channels, 1 x 1, added to what it saw."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.near = nn.Conv2d(
            channels, channels, 5, padding=2 * dilation, dilation=dilation, groups=channels
        )
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:  # N C H W
        return x + functional.relu(self.norm(self.mix(self.near(x))))


def halve(less: int, more: int) -> nn.Module:
    return nn.Sequential(
        nn.MaxPool2d(2), nn.Conv2d(less, more, 1, bias=False), nn.BatchNorm2d(more), nn.ReLU()
    )


def blocks(channels: int) -> nn.Module:
    """Return one block where pixels are many, two below."""
    return nn.Sequential(*(Block(channels) for _ in range(1 if channels == CHANNELS[0] else 2)))


class DamageNet(nn.Module):
    """A U-Net that begins and ends at half the photo's size."""

    def __init__(self) -> None:
        super().__init__()
        whole = CHANNELS[0]
        self.enter = nn.Sequential(
            nn.Conv2d(4, whole, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(whole),
            nn.ReLU(),
        )
        self.down = nn.ModuleList(
            nn.Sequential(blocks(n), halve(n, more)) for n, more in itertools.pairwise(CHANNELS)
        )
        last = CHANNELS[-1]
        self.deep = nn.Sequential(Block(last), Block(last, 2), Block(last, 4))
        self.narrow = nn.ModuleList(
            nn.Conv2d(more, n, 1) for n, more in itertools.pairwise(CHANNELS)
        )
        self.up = nn.ModuleList(blocks(n) for n in CHANNELS[:-1])
        self.leave = nn.Conv2d(whole, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 8, H/2, W/2] of photos [N, 4, H, W]."""
        x, kept = self.enter(x), []
        for stage in self.down:
            kept.append(x := stage[0](x))
            x = stage[1](x)
        x = self.deep(x)
        for narrow, stage in zip(reversed(self.narrow), reversed(self.up), strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = stage(x + kept.pop())
        return self.leave(x)


class Painter:
    """Draws parts of photos, with damage and without."""

    def __init__(self, photos: list[Picture], seed: int) -> None:
        self.photos, self.rng = photos, np.random.default_rng(seed)

    def draw(self) -> tuple[Levels, NDArray[np.bool_]]:
        """Return a part of a photo as the network sees it, and its damage [2, SIDE, SIDE]."""
        rgb, rng = self.part(), self.rng
        truth = np.zeros((2, SIDE, SIDE), np.bool_)
        if rng.random() > CLEAN:
            scale = rng.uniform(420, 1250) / 768  # of the photo that this would be a part of
            new = rgb.astype(np.float32)
            for kind in rng.permutation(2):
                if rng.random() < 0.75:
                    before = np.rint(new)
                    (self.draw_scratches if kind == 0 else self.draw_dust)(new, scale)
                    truth[kind] = np.abs(np.rint(new) - before).max(-1) >= VISIBLE
            rgb = np.rint(new).clip(0, 255).astype(np.uint8)
        return prepare(self.wear(rgb)), truth

    def part(self) -> Picture:
        """Return a part of a photo at some scale, turned and toned."""
        rng = self.rng
        photo = self.photos[rng.integers(len(self.photos))]
        side = min(photo.shape[:2])
        span = int(np.clip(SIDE * np.exp(rng.uniform(-0.35, 1.0)), 150, side))
        top = rng.integers(photo.shape[0] - span + 1)
        left = rng.integers(photo.shape[1] - span + 1)
        rgb = np.rot90(photo[top : top + span, left : left + span], rng.integers(4))
        if rng.random() < 0.5:
            rgb = rgb[:, ::-1]
        rgb = np.ascontiguousarray(rgb)
        if span > SCENE:
            rgb = np.asarray(cv2.resize(rgb, (SCENE, SCENE), interpolation=cv2.INTER_AREA))
            span = SCENE
        if rng.random() < 0.3:
            rgb = self.add_lines(rgb)
        if rng.random() < 0.15:
            rgb = self.add_words(rgb)
        way = cv2.INTER_AREA if span > SIDE else cv2.INTER_CUBIC
        rgb = np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=way), np.float32)
        return self.tone(rgb)

    def tone(self, rgb: NDArray[np.float32]) -> Picture:
        rng = self.rng
        if rng.random() < 0.25:  # as old prints are
            rgb = np.repeat(rgb.mean(-1, keepdims=True), 3, -1)
            if rng.random() < 0.5:
                rgb = rgb * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.65, 1)], np.float32)
        elif rng.random() < 0.3:
            rgb = rgb[..., rng.permutation(3)]
        rgb = 255 * (rgb.clip(0, 255) / 255) ** np.float32(np.exp(rng.normal(0, 0.25)))
        rgb = (rgb - 128) * rng.uniform(0.6, 1.15) + 128 + rng.normal(0, 14)
        if rng.random() < 0.3:
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.6))
        if rng.random() < 0.3:
            grain = rng.standard_normal(rgb.shape, np.float32)
            rgb = rgb + np.float32(rng.uniform(1, 9)) * grain
        return np.rint(rgb).clip(0, 255).astype(np.uint8)

    def add_lines(self, rgb: Picture) -> Picture:
        """Draw wires, a railing or grass into the scene: they count as photo."""
        rng, span = self.rng, len(rgb)
        new = rgb.astype(np.float32)
        angle, apart = rng.uniform(0, np.pi), rng.uniform(0.02, 0.2) * span
        many = rng.random() < 0.6
        spread = rng.choice([0.0, 0.02, 0.3])
        level = rng.uniform(20, 235, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(10, 245))
        thick = rng.uniform(0.6, 4) * span / SIDE
        start = rng.uniform(0, span, 2)
        for n in range(int(rng.integers(3, 14)) if many else int(rng.integers(1, 3))):
            turn = angle + rng.normal(0, 1) * spread
            way = np.array([np.cos(turn), np.sin(turn)])
            middle = start + (n - 4) * apart * np.array([-np.sin(angle), np.cos(angle)])
            along = np.linspace(-1, 1, 12)
            bend = rng.normal(0, 0.03) * along**2 * span
            reach = span if spread < 0.1 else span * rng.uniform(0.1, 0.4)
            points = middle + np.outer(along * reach, way) + np.outer(bend, way[::-1] * (-1, 1))
            opacity = draw_curve((span, span), points, max(0.6, thick))
            shade = level + rng.normal(0, 18) if many else level
            new += opacity[..., None] * (shade.astype(np.float32) - new)
            if rng.random() < 0.4:  # it has a lit side
                opacity = np.roll(opacity, max(1, int(thick)), 1)
                lit = (shade * rng.uniform(0.4, 1.5)).astype(np.float32)
                new += opacity[..., None] * np.float32(0.5) * (lit - new)
        return np.rint(new).clip(0, 255).astype(np.uint8)

    def add_words(self, rgb: Picture) -> Picture:
        rng, span = self.rng, len(rgb)
        words = "".join(rng.choice(list("ABCEHIKLMNOPRSTUVilt0123456789 .'"), rng.integers(4, 14)))
        high = rng.uniform(0.05, 0.2) * span
        opacity = draw_words(
            (span, span), words, (span / 2, rng.uniform(0.2, 0.8) * span), high,
            angle=float(rng.choice([0, 0, rng.uniform(-60, 60)])),
        )  # fmt: skip
        colour = np.full(3, rng.choice([255, 10])) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
        new = rgb + (opacity * rng.uniform(0.4, 1))[..., None] * (colour - rgb)
        return np.rint(new).clip(0, 255).astype(np.uint8)

    def colour(self) -> NDArray[np.float32]:
        """Return a colour of bare paper or emulsion."""
        rng = self.rng
        level = rng.uniform(195, 253) if rng.random() < 0.65 else rng.uniform(4, 55)
        return (level + rng.uniform(-10, 10, 3)).clip(0, 255).astype(np.float32)

    def draw_scratches(self, new: NDArray[np.float32], scale: float) -> None:
        rng = self.rng
        for _ in range(rng.integers(1, 5)):
            angle = rng.uniform(0, np.pi)
            if rng.random() < 0.4:
                angle = rng.choice([np.pi / 2, np.pi / 2, 0]) + rng.normal(0, 0.03)
            length = rng.uniform(0.15, 0.8) * 768 * scale
            along = np.linspace(-0.5, 0.5, 40)
            bend = rng.normal(0, 0.03) * np.sin(along * np.pi * rng.uniform(1, 3)) * length
            way = np.array([np.cos(angle), np.sin(angle)])
            middle = rng.uniform(-0.1, 1.1, 2) * SIDE
            middle = middle + way * rng.uniform(-0.4, 0.4) * max(0.0, length - SIDE)
            points = middle + np.outer(along * length, way) + np.outer(bend, way[::-1] * (-1, 1))
            opacity = draw_curve((SIDE, SIDE), points, max(rng.uniform(0.8, 2.8) * scale, 0.8))
            opacity *= rng.uniform(0.6, 1) if rng.random() < 0.75 else rng.uniform(0.25, 0.6)
            if rng.random() < 0.15:  # it comes and goes
                come = rng.uniform(0, 1.6, (8, 8)).astype(np.float32)
                opacity *= np.asarray(cv2.resize(come, (SIDE, SIDE))).clip(0, 1)
            new += soft(opacity, rng)[..., None] * (self.colour() - new)

    def draw_dust(self, new: NDArray[np.float32], scale: float) -> None:
        rng = self.rng
        for _ in range(rng.integers(1, 4)):
            layer = np.zeros((SIDE, SIDE), np.float32)
            for _ in range(rng.integers(1, max(2, int(14 / scale)))):
                radius = min(12, max(0.8, rng.lognormal(0.3, 0.55) * scale))
                middle = rng.uniform(0, SIDE, 2)
                for spot in middle + rng.normal(0, radius / 2, (3, 2)):
                    cv2.circle(
                        layer, np.rint(spot * 16).astype(int).tolist(), round(radius * 16), 1.0, -1,
                        cv2.LINE_8, 4,
                    )  # fmt: skip
            if rng.random() < 0.6:
                turn = np.cumsum(rng.normal(0, rng.uniform(0.1, 0.4), 24)) + rng.uniform(0, 6.3)
                steps = np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(1.2, 3) * scale
                points = rng.uniform(0, 1, 2) * SIDE + np.cumsum(steps, 0)
                thick = max(0.8, rng.uniform(0.7, 1.4) * scale)
                np.maximum(layer, draw_curve((SIDE, SIDE), points, thick), out=layer)
            layer = soften(layer, 0.35)
            layer *= rng.uniform(0.7, 1) if rng.random() < 0.75 else rng.uniform(0.3, 0.7)
            new += soft(layer, rng)[..., None] * (self.colour() - new)

    def wear(self, rgb: Picture) -> Picture:
        """Compress it, as scans are, one time in four."""
        if self.rng.random() > 0.25:
            return rgb
        out = io.BytesIO()
        Image.fromarray(rgb).save(out, "JPEG", quality=int(self.rng.integers(70, 98)))
        return np.array(Image.open(out))


def soft(opacity: Levels, rng: np.random.Generator) -> Levels:
    return soften(opacity, rng.uniform(0.4, 1.2)) if rng.random() < 0.2 else opacity


def read_photos(folders: list[Path]) -> list[Picture]:
    """Return all photos, none larger than 1600 pixels."""
    photos = []
    for path in sorted(p for folder in folders for p in folder.iterdir()):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((1600, 1600))
        photos.append(np.array(photo))
    return photos


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy that counts what is hard, and the overlap, of [N, 2, H, W]."""
    chance = logits.sigmoid()
    plain = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    hard = (truth - chance).abs().detach()
    shared = (chance * truth).sum((0, 2, 3))
    overlap = 1 - (2 * shared + 1) / (chance.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    return (plain * (0.2 + hard)).mean() * 4 + 0.5 * overlap.mean()


def train(photos: list[Picture], minutes: float, output: Path) -> None:
    torch.manual_seed(SEED)
    net, painter = DamageNet().to(memory_format=torch.channels_last), Painter(photos, SEED)
    print(sum(p.numel() for p in net.parameters()), "numbers", flush=True)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4)
    start, step, means = perf_counter(), 0, []
    while (gone := (perf_counter() - start) / 60 / minutes) < 1:
        rate = RATE * min(1, (step + 1) / 60) * (0.5 + 0.5 * np.cos(np.pi * gone)) + 1e-5
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = [painter.draw() for _ in range(BATCH)]
        seen = torch.from_numpy(np.stack([part for part, _ in parts]))
        seen = seen.contiguous(memory_format=torch.channels_last)
        truth = torch.from_numpy(np.stack([mask for _, mask in parts])).float()
        loss = loss_of(functional.pixel_shuffle(net(seen), 2), truth)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        means.append(loss.item())
        step += 1
        if step % 100 == 0:
            took = (perf_counter() - start) / 60
            print(step, f"{took:.1f} min", f"{np.mean(means[-100:]):.4f}", flush=True)
        if step % 400 == 0:
            export(net, output)
    export(net, output)


def export(net: DamageNet, output: Path) -> None:
    net.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.zeros(1, 4, SIDE, SIDE),), str(output), input_names=["photo"],
            output_names=["damage"], dynamo=False, opset_version=13,
            dynamic_axes={"photo": {2: "h", 3: "w"}, "damage": {2: "h", 3: "w"}},
        )  # fmt: skip
    net.train()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("photos", type=Path, nargs="+")
    words.add_argument("-o", "--output", type=Path, required=True)
    words.add_argument("--minutes", type=float, default=30)
    given = words.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    train(read_photos(given.photos), given.minutes, given.output)


if __name__ == "__main__":
    main()
