"""LaMa against the `spandrel` package's implementation, its conversion, and how it trains."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from spandrel.architectures.LaMa import LaMa as Theirs
from torch import Tensor, nn

from inpaint_cli.api.architectures import Batch
from inpaint_cli.cli import main
from inpaint_cli.errors import WeightsError
from inpaint_cli.models import convert, weights
from inpaint_plugins.lama import LaMa
from inpaint_plugins.lama.model import FourierNet
from inpaint_plugins.lama.settings import LaMaSettings, LaMaTaskSettings
from inpaint_plugins.lama.task import LaMaTask


def randomised(net: nn.Module) -> nn.Module:
    """Random weights and statistics that keep activations near 1 through all blocks."""
    torch.manual_seed(0)
    for name, tensor in net.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.ndim == 4:
            nn.init.kaiming_normal_(tensor)
        elif tensor.ndim == 1:
            tensor.normal_(1 if name.endswith("weight") else 0, 0.1)
    return net.eval()


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return randomised(Theirs(in_nc=4, out_nc=3))


@pytest.fixture(scope="module")
def checkpoint(theirs: nn.Module) -> dict[str, Tensor]:
    """A checkpoint as the authors publish theirs, with a critic and a loss network beside."""
    generator = {
        k.replace("model.model", "generator.model"): v for k, v in theirs.state_dict().items()
    }
    rest = {
        "discriminator.model0.0.weight": torch.rand(64, 3, 4, 4),
        "loss_resnet_pl.x": torch.rand(5),
    }
    return generator | rest


def test_sizes_of_the_paper():
    big, small = FourierNet(LaMaSettings()), FourierNet(LaMaSettings(blocks=9))
    assert sum(p.numel() for p in big.parameters()) == 50_975_875  # "51 M"
    assert sum(p.numel() for p in small.parameters()) == 27_048_835  # "27 M"


def test_equals_spandrels(theirs: nn.Module, checkpoint: dict[str, Tensor]):
    converted = LaMa.convert(checkpoint)
    assert converted
    assert converted.settings == LaMaSettings()
    ours = FourierNet(LaMaSettings()).eval()
    ours.load_state_dict(dict(converted.state))
    image, mask = torch.rand(1, 3, 64, 48), (torch.rand(1, 1, 64, 48) < 0.4).float()
    with torch.inference_mode():
        expected = theirs(image, mask)
        out = ours(image * (1 - mask), mask)
    assert expected[mask.expand_as(image) > 0].std() > 0.05, "too flat to compare"
    torch.testing.assert_close(torch.where(mask > 0, out, image), expected, atol=1e-5, rtol=0)


def test_every_tensor_is_accounted_for(checkpoint: dict[str, Tensor]):
    converted = LaMa.convert(checkpoint)
    assert converted
    dropped = [k for k in converted.dropped if not k.endswith("bn_g.num_batches_tracked")]
    assert dropped == ["discriminator.model0.0.weight", "loss_resnet_pl.x"]
    total = sum(t.numel() for t in checkpoint.values())
    kept = sum(t.numel() for t in converted.state.values())
    assert total == kept + sum(checkpoint[k].numel() for k in converted.dropped)


def test_a_strange_layout_is_refused(checkpoint: dict[str, Tensor]):
    assert LaMa.convert({"encoder.weight": torch.rand(2)}) is None
    with pytest.raises(WeightsError, match="has no place"):
        LaMa.convert(
            checkpoint | {"generator.model.7.conv1.ffc.convg2g.lfu.bn.weight": torch.rand(2)}
        )
    lacking = {k: v for k, v in checkpoint.items() if k != "generator.model.34.bias"}
    with pytest.raises(WeightsError, match=r"no generator tensor '34\.bias'"):
        LaMa.convert(lacking)


@dataclass
class Callback:
    """What Lightning's checkpoints are full of: a class that safe loading does not know."""

    best: float


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint file of a small LaMa as Lightning writes one."""
    layout = LaMaSettings(width=8, blocks=2, downsamplings=2)
    state = authors(FourierNet(layout))
    state["discriminator.w"] = torch.rand(3)
    path = tmp_path / "small.ckpt"
    content = {
        "state_dict": state,
        "callbacks": {Callback: {"best": Callback(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.rand(3)}}}],
    }
    torch.save(content, path)
    return path


def authors(net: FourierNet) -> dict[str, Tensor]:
    """The state of a small net in the authors' layout: `convert` the other way, for this size."""
    own, state = net.state_dict(), {}
    blocks = [4, 5]

    def norm(ours: str, *names: tuple[str, int]) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            pieces = own[f"{ours}.{part}"].split([n for _, n in names])
            state.update({f"{k}.{part}": p for (k, _), p in zip(names, pieces, strict=True)})
        for name, _ in names:
            state[f"{name}.num_batches_tracked"] = own[f"{ours}.num_batches_tracked"]

    state["1.ffc.convl2l.weight"] = own["stem.0.weight"]
    norm("stem.1", ("1.bn_l", 8))
    state["2.ffc.convl2l.weight"] = own["down.0.0.weight"]
    norm("down.0.1", ("2.bn_l", 16))
    state["3.ffc.convl2l.weight"], state["3.ffc.convl2g.weight"] = own["down.1.0.weight"].split(
        [8, 24]
    )
    norm("down.1.1", ("3.bn_l", 8), ("3.bn_g", 24))
    for n, at in enumerate(blocks):
        for mine, name in (("first", "conv1"), ("second", "conv2")):
            ours, ffc = f"blocks.{n}.{mine}", f"{at}.{name}.ffc"
            local = own[f"{ours}.to_local.weight"]
            state[f"{ffc}.convl2l.weight"], state[f"{ffc}.convg2l.weight"] = local.split([8, 24], 1)
            state[f"{ffc}.convl2g.weight"] = own[f"{ours}.to_global.weight"]
            state[f"{ffc}.convg2g.conv1.0.weight"] = own[f"{ours}.spectral.shrink.0.weight"]
            norm(f"{ours}.spectral.shrink.1", (f"{ffc}.convg2g.conv1.1", 12))
            state[f"{ffc}.convg2g.fu.conv_layer.weight"] = own[
                f"{ours}.spectral.fourier.conv.weight"
            ]
            norm(f"{ours}.spectral.fourier.norm", (f"{ffc}.convg2g.fu.bn", 24))
            state[f"{ffc}.convg2g.conv2.weight"] = own[f"{ours}.spectral.grow.weight"]
            norm(f"{ours}.norm", (f"{at}.{name}.bn_l", 8), (f"{at}.{name}.bn_g", 24))
    for n, at in enumerate((7, 10)):
        state |= {f"{at}.{part}": own[f"up.{n}.0.{part}"] for part in ("weight", "bias")}
        norm(f"up.{n}.1", (f"{at + 1}", 16 >> n))
    state |= {f"14.{part}": own[f"head.{part}"] for part in ("weight", "bias")}
    return {f"generator.model.{k}": v for k, v in state.items()}


def test_convert_writes_weights(file: Path, tmp_path: Path):
    output = tmp_path / "lama.safetensors"
    args = ["weights", "convert", str(file), "--to", "lama", "-o", str(output)]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}\n"
    assert "dropped discriminator.*: 1 tensors" in result.stderr
    model = weights.read_weights(output)
    state = convert.read_checkpoint(file)
    assert torch.equal(model.net.state_dict()["head.bias"], state["generator.model.14.bias"])
    assert model.header["settings"] == json.dumps(
        {"width": 8, "blocks": 2, "downsamplings": 2, "ratio": 0.75}, separators=(",", ":")
    )


def test_convert_replaces_nothing_unasked(file: Path, tmp_path: Path):
    begin = ["weights", "convert", str(file), "--to", "lama"]
    own = file.rename(tmp_path / "own.safetensors")
    result = CliRunner().invoke(main, ["weights", "convert", str(own), "--to", "lama"])
    assert result.exit_code == 2
    assert "would be replaced" in result.stderr
    own.rename(file)
    (tmp_path / "there.safetensors").write_text("mine")
    result = CliRunner().invoke(main, [*begin, "-o", str(tmp_path / "there.safetensors")])
    assert result.exit_code == 1
    assert (tmp_path / "there.safetensors").read_text() == "mine"


def test_convert_runs_nothing(tmp_path: Path):
    path = tmp_path / "trap.ckpt"
    torch.save({"state_dict": {"a": torch.rand(2)}, "trap": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(WeightsError, match="cannot be read safely"):
        convert.read_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_convert_refuses_what_is_no_checkpoint(content: bytes, tmp_path: Path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["weights", "convert", str(path), "--to", "lama"])
    assert result.exit_code == 1
    assert "cannot be read safely" in result.output
    assert not (tmp_path / "x.safetensors").exists()


def test_convert_refuses_another_architecture(file: Path):
    with pytest.raises(WeightsError, match="no layout that 'pconv' knows"):
        convert.convert_checkpoint(file, "pconv", file.with_suffix(".safetensors"))


def task(**settings: float | str) -> LaMaTask:
    torch.manual_seed(0)
    model = LaMaSettings(width=8, blocks=1, downsamplings=2)
    rules = LaMaTaskSettings.model_validate(
        {"critic": 8, "critic_layers": 2, "vgg": "none"} | settings
    )
    return LaMaTask(LaMa.build(model), rules)


def batch() -> Batch:
    torch.manual_seed(1)
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    return Batch(torch.rand(2, 3, 32, 32), mask)


def test_terms_follow_the_settings():
    example = batch()
    full = task(vgg="random")
    out = full.predict(example)
    assert set(full.losses(example, out)) == {"l1", "adversarial", "feature_matching", "perceptual"}
    assert full.without() == ["random-vgg"]
    plain = task(adversarial=0, feature_matching=0)
    assert [phase.name for phase in plain.phases("fill")] == ["fill"]
    assert set(plain.losses(example, out)) == {"l1"}
    assert plain.without() == ["no-vgg"]


def test_pixels_of_the_hole_are_not_compared():
    example = batch()
    tasks = task(adversarial=0, feature_matching=0)
    out = tasks.predict(example).detach().requires_grad_()
    tasks.losses(example, out)["l1"].backward()
    assert out.grad is not None
    assert not (out.grad * example.mask).any()
    assert (out.grad * (1 - example.mask)).any()


def test_r1_reaches_the_critic():
    example = batch()
    tasks = task()
    terms = tasks.critic_losses(example, tasks.predict(example))
    terms["r1"].backward()
    assert tasks.critic.layers[0][0].weight.grad.any()
    assert all(p.grad is None for p in tasks.net.parameters())
