"""The authors' checkpoints of SPN, SPN-P and SPL: small ones in their layout, and their forward."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.nn import functional as F

from inpaint_cli.cli import main
from inpaint_cli.errors import WeightsError
from inpaint_cli.models import convert, weights
from inpaint_plugins.spn import SPL, SPN, SPNP

WIDTH, BLOCKS, DENSE = 8, 2, 3
KINDS: dict[str, type[SPN]] = {"spl": SPL, "spn": SPN, "spn-p": SPNP}


class Layout:
    """Random tensors under the authors' names."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.rng = torch.Generator().manual_seed(0)

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.rng)

    def conv(self, name: str, inputs: int, outputs: int, side: int = 3, bias: bool = True) -> None:
        spread = 0.8 * (inputs * side * side) ** -0.5
        self.tensors[f"{name}.weight"] = spread * self.draw(outputs, inputs, side, side)
        if bias:
            self.tensors[f"{name}.bias"] = 0.1 * self.draw(outputs)

    def spade(self, name: str, channels: int, layout: int, hidden: int) -> None:
        self.conv(f"{name}.mlp_shared.0", layout, hidden)
        self.conv(f"{name}.mlp_gamma", hidden, channels)
        self.conv(f"{name}.mlp_beta", hidden, channels)

    def residual(self, name: str, inputs: int, outputs: int) -> None:
        self.conv(f"{name}.conv_block.1", inputs, outputs)
        self.conv(f"{name}.conv_block.4", outputs, outputs)
        if inputs != outputs:
            self.conv(f"{name}.shortcut.1", inputs, outputs)


def draw_released(kind: str) -> dict[str, Tensor]:
    """A generator as the authors release it, in all names and in shapes of a small width."""
    w, net = WIDTH, Layout()
    net.conv("encoder_conv1_sm", 4, w, 7)
    for n, (a, b) in enumerate(((w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))):
        net.conv(f"encoder_conv{n + 2}_sm", a, b, 4)
    net.conv("encoder_sm_out", 4 * w, 4 * w)
    for n in range(DENSE):
        for k in range(6):
            net.conv(f"rdbs.{n}.layers.{k}.conv", 4 * w + k * w // 2, w // 2)
        net.conv(f"rdbs.{n}.lff", 4 * w + 3 * w, 4 * w, 1)
    net.conv("gff.0", 4 * w * DENSE, 4 * w, 1)
    net.conv("gff.1", 4 * w, 4 * w)
    for n in range(4):
        net.residual(f"feature_recon.{n}", 8 * w if kind == "spn-p" and n == 0 else 4 * w, 4 * w)
    if kind == "spn-p":
        for n, inputs in zip((0, 2, 4), (4 * w, 8 * w, 8 * w), strict=True):
            net.conv(f"encoder_z.{n}", inputs, 8 * w, 4)
        net.conv("mu", 8 * w, 2 * w, 1)
        net.conv("sigma", 8 * w, 2 * w, 1)
        for n, inputs in zip((0, 3, 6), (2 * w, 4 * w, 4 * w), strict=True):
            net.conv(f"decoder_z.{n}", inputs, 16 * w)
    if kind != "spl":
        net.conv("feature_recon_decoder.0", 4 * w, 8 * w)
        net.residual("feature_recon_decoder.3", 6 * w, 2 * w)
        net.conv("feature_recon_decoder.4", 2 * w, 4 * w)
        net.residual("feature_recon_decoder.7", 3 * w, w)
    draw_generator(net, kind)
    net.conv("feature_mapping", 4 * w, 5, 1)  # a head of the training
    return net.tensors


def draw_generator(net: Layout, kind: str) -> None:
    w = WIDTH
    for n, (a, b, side) in enumerate(((3, w, 7), (w, 2 * w, 4), (2 * w, 4 * w, 4))):
        net.conv(f"encoder_conv{n + 1}", a, b, side)
        for name in ("foreground_gamma", "background_gamma", "foreground_beta", "background_beta"):
            net.tensors[f"encoder_in{n + 1}.{name}"] = 0.3 * net.draw(b)
    for n in range(BLOCKS):
        for at in (0, 4):
            net.spade(f"middle.{n}.conv_block.{at}", 4 * w, 4 * w, 2 * w)
        for at in (3, 7):
            net.conv(f"middle.{n}.conv_block.{at}", 4 * w, 4 * w)
    if kind == "spl":
        for n, inputs in ((0, 4 * w), (4, 2 * w)):
            net.conv(f"decoder.{n}", inputs, 2 * inputs)
            norm = f"decoder.{n + 2}.sa"
            net.conv(f"{norm}.conv1", 2, 1, 7, bias=False)
            net.tensors[f"{norm}.conv1.weight"] *= 6  # so that attention reaches 0.8 somewhere
            net.conv(f"{norm}.gamma_conv", 1, 1, 7)
            net.conv(f"{norm}.beta_conv", 1, 1, 7)
        net.conv("decoder.9", w, 3, 7)
        return
    for n, inputs in ((1, 4 * w), (3, 2 * w)):
        outputs, block = inputs // 2, f"decoder.{n}"
        hidden = min(2 * w, outputs) if kind == "spn-p" else 2 * w
        for name, channels in (("conv_block.0", inputs), ("conv_block.3", outputs)):
            net.spade(f"{block}.{name}", channels, outputs, hidden)
        net.spade(f"{block}.SPADE_s", inputs, outputs, hidden)
        net.conv(f"{block}.conv_block.2", inputs, outputs)
        net.conv(f"{block}.conv_block.5", outputs, outputs)
        net.conv(f"{block}.conv_s", inputs, outputs)
    net.conv("decoder.6", w, 3, 7)


class Released:
    """Their forward, written from the formulas of the papers, on tensors under their names."""

    def __init__(self, tensors: dict[str, Tensor], kind: str) -> None:
        self.tensors, self.kind = tensors, kind

    def conv(self, name: str, x: Tensor, *, reflect: int = 0, **how: int) -> Tensor:
        if reflect:
            x = F.pad(x, (reflect,) * 4, "reflect")
        weight, bias = self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, **how)

    def residual(self, name: str, x: Tensor) -> Tensor:
        y = F.relu(self.conv(f"{name}.conv_block.1", x, reflect=1))
        y = self.conv(f"{name}.conv_block.4", y, reflect=1)
        widens = f"{name}.shortcut.1.weight" in self.tensors
        return y + (self.conv(f"{name}.shortcut.1", x, reflect=1) if widens else x)

    def spade(self, name: str, x: Tensor, layout: Tensor) -> Tensor:
        a = F.relu(self.conv(f"{name}.mlp_shared.0", layout, padding=1))
        gamma = self.conv(f"{name}.mlp_gamma", a, padding=1)
        return F.instance_norm(x) * (1 + gamma) + self.conv(f"{name}.mlp_beta", a, padding=1)

    def shuffle(self, name: str, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(name, x, padding=1), 2)

    def priors(self, white: Tensor, mask: Tensor) -> list[Tensor]:
        """S3 and, of the pyramid, S2 and S1."""
        slope = 0.1 if self.kind == "spl" else 0.0
        x = F.interpolate(torch.cat([white, mask], 1), scale_factor=2)
        x = F.leaky_relu(self.conv("encoder_conv1_sm", x, reflect=3), slope)
        skips = []
        for n in (2, 3, 4):
            x = F.leaky_relu(self.conv(f"encoder_conv{n}_sm", x, stride=2, padding=1), slope)
            skips.append(x)
        y, trunk = self.conv("encoder_sm_out", x, padding=1), []
        for n in range(DENSE):
            seen = y
            for k in range(6):
                grown = F.relu(self.conv(f"rdbs.{n}.layers.{k}.conv", seen, padding=1))
                seen = torch.cat([seen, grown], 1)
            y = y + self.conv(f"rdbs.{n}.lff", seen)
            trunk.append(y)
        y = self.conv("gff.1", self.conv("gff.0", torch.cat(trunk, 1)), padding=1) + x
        if self.kind == "spn-p":
            y = torch.cat([y, self.variational(y)], 1)
        for n in range(4):
            y = self.residual(f"feature_recon.{n}", y)
        priors = [y]
        if self.kind != "spl":
            for n, skip in ((0, skips[1]), (4, skips[0])):
                y = F.relu(self.shuffle(f"feature_recon_decoder.{n}", y))
                y = self.residual(f"feature_recon_decoder.{n + 3}", torch.cat([skip, y], 1))
                priors.append(y)
        return priors

    def variational(self, u: Tensor) -> Tensor:
        """Features of the mean of z."""
        for n in (0, 2, 4):
            u = F.leaky_relu(self.conv(f"encoder_z.{n}", u, stride=2, padding=1), 0.2)
        z = self.conv("mu", u)
        for n in (0, 3, 6):
            z = F.relu(self.shuffle(f"decoder_z.{n}", z))
        return z

    def norm_by_mask(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        region = F.interpolate(mask, x.shape[-2:])
        own = {k: self.tensors[f"{name}.{k}"][:, None, None] for k in REGION_PARTS}
        hole = norm_regions(x, region) * region * (1 + own["foreground_gamma"])
        rest = norm_regions(x, region) * (1 - region) * (1 + own["background_gamma"])
        return hole + own["foreground_beta"] + rest + own["background_beta"]

    def norm_by_attention(self, name: str, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        s = torch.sigmoid(self.conv(f"{name}.conv1", pooled, padding=3))
        region = (s >= 0.8).float()
        assert 0 < region.mean() < 1, "one region alone tests nothing"
        gamma = self.conv(f"{name}.gamma_conv", s, padding=3)
        return norm_regions(x, region) * (1 + gamma) + self.conv(f"{name}.beta_conv", s, padding=3)

    def fill(self, visible: Tensor, mask: Tensor) -> Tensor:
        white = visible + mask
        coarse, *finer = self.priors(white, mask)
        x = self.conv("encoder_conv1", white, reflect=3)
        x = F.relu(self.norm_by_mask("encoder_in1", x, mask))
        for n in (2, 3):
            x = self.conv(f"encoder_conv{n}", x, stride=2, padding=1)
            x = F.relu(self.norm_by_mask(f"encoder_in{n}", x, mask))
        for n in range(BLOCKS):
            block = f"middle.{n}.conv_block"
            y = F.relu(self.spade(f"{block}.0", x, coarse))
            y = self.conv(f"{block}.3", y, reflect=2, dilation=2)
            y = F.relu(self.spade(f"{block}.4", y, coarse))
            x = x + self.conv(f"{block}.7", y, reflect=1)
        if self.kind == "spl":
            for n in (0, 4):
                x = self.shuffle(f"decoder.{n}", x)
                x = F.relu(self.norm_by_attention(f"decoder.{n + 2}.sa", x))
            return (torch.tanh(self.conv("decoder.9", x, reflect=3)) + 1) / 2
        for n, prior in zip((1, 3), finer, strict=True):
            x = self.enlarge(f"decoder.{n}", F.interpolate(x, scale_factor=2), prior)
        return (torch.tanh(self.conv("decoder.6", F.leaky_relu(x, 0.2), reflect=3)) + 1) / 2

    def enlarge(self, name: str, x: Tensor, prior: Tensor) -> Tensor:
        y = F.leaky_relu(self.spade(f"{name}.conv_block.0", x, prior), 0.2)
        y = self.conv(f"{name}.conv_block.2", y, padding=1)
        y = F.leaky_relu(self.spade(f"{name}.conv_block.3", y, prior), 0.2)
        y = self.conv(f"{name}.conv_block.5", y, padding=1)
        return y + self.conv(f"{name}.conv_s", self.spade(f"{name}.SPADE_s", x, prior), padding=1)


REGION_PARTS = ("foreground_gamma", "background_gamma", "foreground_beta", "background_beta")


def norm_regions(x: Tensor, region: Tensor) -> Tensor:
    """Each of two regions filled with its mean outside, instance norm, scaled by its share."""
    total = torch.zeros_like(x)
    for part in (region, 1 - region):
        share = part.mean((2, 3), keepdim=True)
        mean = (x * part).mean((2, 3), keepdim=True) / share
        total += F.instance_norm(x * part + mean * (1 - part)) * share.sqrt()
    return total


def photo_and_mask() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., 8:22, 12:41] = 1
    return torch.rand(1, 3, 32, 64, generator=rng) * (1 - mask), mask


WRAPPERS = {
    "plain": "{}",
    "parallel": "module.{}",
    "training": "generator.{}",
    "parallel training": "generator.module.{}",
}


def write_checkpoint(path: Path, kind: str, wrapper: str = "plain") -> Path:
    state = {WRAPPERS[wrapper].format(name): t for name, t in draw_released(kind).items()}
    state["discriminator.conv1.0.weight"] = torch.rand(2, 3, 4, 4)
    state["tresnet_xL_hold.body.conv1.0.weight"] = torch.rand(2, 3)
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("kind", "wrapper"), [("spl", "plain"), *(("spn", w) for w in WRAPPERS), ("spn-p", "training")]
)
def test_a_released_checkpoint_fills_as_its_authors_network(
    kind: str, wrapper: str, tmp_path: Path
):
    path = write_checkpoint(tmp_path / "released.pth", kind, wrapper)
    output = tmp_path / "ours.safetensors"
    args = ["weights", "convert", str(path), "--to", kind, "-o", str(output)]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert "dropped discriminator.*: 1 tensors" in result.stderr
    ours = weights.read_weights(output).net
    for part in ours.modules():  # the mean of z, because the draws of two programs differ
        if hasattr(part, "drawn"):
            part.drawn = False  # pyright: ignore[reportAttributeAccessIssue]
    visible, mask = photo_and_mask()
    with torch.inference_mode():
        expected = Released(draw_released(kind), kind).fill(visible, mask)
        out = ours(visible, mask).image
    assert expected.std() > 0.05, "too flat to compare"
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_has_a_place_or_is_dropped_by_name(kind: str):
    theirs = draw_released(kind)
    found = KINDS[kind].convert(theirs)
    assert found
    assert list(found.dropped) == ["feature_mapping.bias", "feature_mapping.weight"]
    kept = convert.count_numbers(found.state)
    assert kept + sum(theirs[k].numel() for k in found.dropped) == convert.count_numbers(theirs)
    assert (found.settings.width, found.settings.blocks) == (WIDTH, BLOCKS)  # pyright: ignore


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_of_a_generator_is_needed(kind: str):
    theirs = draw_released(kind)
    needed = [k for k in theirs if not k.startswith("feature_mapping")]
    for name in needed[1::7]:
        with pytest.raises(WeightsError, match=f"no generator tensor '{name}'"):
            KINDS[kind].convert({k: t for k, t in theirs.items() if k != name})


@pytest.mark.parametrize("extra", ["decoder.1.conv_extra.weight", "encoder_in4.foreground_gamma"])
def test_a_tensor_without_a_place_is_refused_by_name(extra: str):
    with pytest.raises(WeightsError, match=f"'{extra}' has no place"):
        SPN.convert(draw_released("spn") | {extra: torch.rand(2)})


@pytest.mark.parametrize(("kind", "asked"), [("spl", "spn"), ("spn", "spn-p"), ("spn-p", "spl")])
def test_another_kind_is_named(kind: str, asked: str):
    with pytest.raises(WeightsError, match=f"convert it with --to {kind}"):
        KINDS[asked].convert(draw_released(kind))


def test_what_is_no_spn_is_not_converted():
    assert SPN.convert({"encoder.weight": torch.rand(2)}) is None
