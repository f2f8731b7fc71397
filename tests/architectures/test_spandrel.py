"""Other people's weights files: recognised, run, or refused, and never executed."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.LaMa import LaMa
from torch import nn

from inpaint_cli.errors import WeightsError
from inpaint_plugins.spandrel import Spandrel
from inpaint_plugins.spandrel.model import keep_generator
from inpaint_plugins.spandrel.torchscript import is_torchscript, read_archive


@pytest.fixture(scope="module")
def lama_state() -> dict[str, torch.Tensor]:
    """The full network, which spandrel builds in no other size, with small random weights."""
    with torch.device("meta"):
        wanted = LaMa(in_nc=4, out_nc=3).state_dict()
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.ones(like.shape, dtype=like.dtype)
        if name.endswith("running_var")
        else (torch.randn(like.shape, generator=draw) * 0.01).to(like.dtype)
        for name, like in wanted.items()
    }


def test_lama_is_recognised_and_fills(lama_state, tmp_path):
    path = tmp_path / "lama.safetensors"
    save_file(lama_state, path)
    foreign = Spandrel.read(path)
    assert foreign.name == "LaMa"
    assert (foreign.sizes.multiple, foreign.sizes.minimum) == (8, 16)
    assert foreign.precisions == ("full", "bf16")
    mask = torch.zeros(2, 1, 24, 32)
    mask[..., 8:16, 8:20] = 1
    visible = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * (1 - mask)
    with torch.inference_mode():
        filled = foreign.net(visible, mask)
    assert filled.shape == visible.shape
    assert torch.equal(filled * (1 - mask), visible)
    assert (filled[:, :, 8:16, 8:20] > 0).all()
    assert not foreign.net.training


def test_what_lama_keeps_beside_the_generator_is_left_out():
    weight = torch.ones(1)
    found = keep_generator({"model.generator.model.1.w": weight, "discriminator.w": weight})
    assert found == {"generator.model.1.w": weight}
    assert keep_generator({"model.model.1.w": weight}) == {"model.model.1.w": weight}


def test_an_upscaler_is_refused_by_what_it_is(tmp_path):
    path = tmp_path / "x4.pth"
    torch.save(ESRGAN(num_filters=8, num_blocks=1).state_dict(), path)
    with pytest.raises(WeightsError, match=r"x4\.pth holds ESRGAN \(SR\), which fills no holes"):
        Spandrel.read(path)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_a_pickle_is_not_executed(tmp_path, suffix):
    path, touched = tmp_path / f"evil{suffix}", tmp_path / "touched"
    torch.save({"state_dict": Trap(touched)}, path)
    with pytest.raises(WeightsError, match="more than tensors"):
        Spandrel.read(path)
    assert not touched.exists()


def test_a_torchscript_archive_is_not_executed(tmp_path):
    path, touched = tmp_path / "evil.pt", tmp_path / "touched"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/code/__torch__.py", "")
        archive.writestr("evil/data.pkl", pickle.dumps(Trap(touched)))
    with pytest.raises(WeightsError, match="is not allowed"):
        Spandrel.read(path)
    assert not touched.exists()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_the_tensors_of_a_torchscript_archive_are_read_without_its_program(tmp_path):
    path = tmp_path / "net.pt"
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 1, 1)))
    torch.jit.save(torch.jit.trace(net.eval(), torch.rand(1, 3, 8, 8)), str(path))
    assert is_torchscript(path)
    found, wanted = read_archive(path), net.state_dict()
    assert sorted(found) == sorted(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    with pytest.raises(WeightsError, match="no network that spandrel knows"):
        Spandrel.read(path)


@pytest.mark.parametrize("content", [b"", b"not a file of weights", b"PK\x03\x04" + bytes(40)])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_damaged_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\."):
        Spandrel.read(path)


def test_damaged_lama_and_missing_files_are_refused(tmp_path):
    part = tmp_path / "part.safetensors"
    save_file({"generator.model.1.bn_l.running_mean": torch.ones(64)}, part)
    with pytest.raises(WeightsError, match="damaged or of an unknown variant"):
        Spandrel.read(part)
    with pytest.raises(WeightsError, match="cannot read"):
        Spandrel.read(tmp_path / "nowhere.safetensors")


def test_tensors_of_nothing_are_refused(tmp_path):
    path = tmp_path / "list.pth"
    torch.save(json.loads("[1, 2]"), path)
    with pytest.raises(WeightsError):
        Spandrel.read(path)
