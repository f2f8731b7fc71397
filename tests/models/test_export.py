"""Networks as ONNX files: the same fills at any size, or a reason why not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small import SMALL
from torch import nn

from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.errors import WeightsError
from inpaint_cli.layers.fourier import FourierUnit
from inpaint_cli.models import export, weights
from inpaint_cli.models.choose import load_model

FIXED = [
    name
    for name in registry.find_plugins("architectures")
    if not (plugin := registry.load_plugin("architectures", name)).no_onnx and not plugin.stochastic
]
OTHERS = [name for name in registry.find_plugins("architectures") if name not in FIXED]


def write_small(name: str, folder: Path) -> Path:
    architecture = registry.load_plugin("architectures", name)
    settings = architecture.settings.model_validate(SMALL[name]["model"])
    torch.manual_seed(0)
    net = architecture.build(settings)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.uniform_(0.5, 2)
    path = folder / f"{name}.safetensors"
    weights.write_weights(path, name, settings, net, notes={"licence": "MIT"})
    return path


def test_the_networks_that_can_be_files():
    assert FIXED == ["lama", "pconv", "spl", "spn"]


@pytest.mark.parametrize("name", FIXED)
def test_a_file_fills_as_its_network(name: str, tmp_path: Path):
    source, target = write_small(name, tmp_path), tmp_path / "net.onnx"
    args = ["weights", "export", str(source), "--onnx", "-o", str(target), "--note", "by=us"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    assert "fills within" in done.stdout
    ours, theirs = load_model(source, device="cpu"), load_model(target)
    assert theirs.name == name
    assert (theirs.header["licence"], theirs.header["by"]) == ("MIT", "us")
    assert theirs.filler.sizes == ours.filler.sizes
    rng = np.random.default_rng(0)
    for size in ((64, 64), ours.filler.sizes.fit(33, 90)):
        rgb, hole = rng.random((*size, 3), np.float32), np.zeros(size, np.bool_)
        hole[5:20, 8:30] = True
        rgb[hole] = 0
        a, b = (m.filler.fill(rgb.copy(), hole, rng)[hole] for m in (ours, theirs))
        assert a.std() > 0.001, "too flat to compare"
        assert np.abs(a - b).max() < 1e-4


@pytest.mark.parametrize("name", OTHERS)
def test_a_network_that_cannot_be_a_file_says_why(name: str, tmp_path: Path):
    with pytest.raises(WeightsError, match=f"{name} cannot be exported as ONNX: it"):
        export.export_onnx(write_small(name, tmp_path), tmp_path / "net.onnx", notes={})
    assert not (tmp_path / "net.onnx").exists()


def test_a_file_that_fills_otherwise_is_not_kept(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(FourierUnit, "for_export", lambda self: nn.Hardtanh(5, 6))
    with pytest.raises(WeightsError, match=r"as ONNX it fills by up to .* differently"):
        export.export_onnx(write_small("lama", tmp_path), tmp_path / "net.onnx", notes={})
    assert [path.name for path in tmp_path.iterdir()] == ["lama.safetensors"]


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 9), (2, 3), (64, 64)])
def test_fourier_layers_by_matrix_products_are_the_same(size: tuple[int, int]):
    torch.manual_seed(0)
    unit = FourierUnit(3).eval()
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        torch.testing.assert_close(unit.for_export()(x), unit(x), atol=1e-5, rtol=1e-5)


def test_halves_and_files_without_a_header_are_refused(tmp_path: Path):
    source = write_small("pconv", tmp_path)
    args = ["weights", "export", str(source), "--onnx", "--half", "-o", str(tmp_path / "x.onnx")]
    assert "leave out --half" in CliRunner().invoke(main, args).stderr
