"""Networks as ONNX files: the same fills at any size, or a reason why not."""

from pathlib import Path
from typing import Any

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
from inpaint_plugins.gated.model import ContextualAttention
from inpaint_plugins.in2.attention import NeighbourhoodAttention
from inpaint_plugins.mdrnets.memory import RegionMemory

FIXED = [
    name
    for name in registry.find_plugins("architectures")
    if not (plugin := registry.load_plugin("architectures", name)).no_onnx and not plugin.stochastic
]
OTHERS = [name for name in registry.find_plugins("architectures") if name not in FIXED]


def write_small(name: str, folder: Path, **changes: Any) -> Path:
    architecture = registry.load_plugin("architectures", name)
    settings = architecture.settings.model_validate({**SMALL[name]["model"], **changes})
    torch.manual_seed(0)
    net = architecture.build(settings)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, RegionMemory):
            module.entries.normal_()
            module.filled[::2] = True
    path = folder / f"{name}.safetensors"
    weights.write_weights(path, name, settings, net, notes={"licence": "MIT"})
    return path


def test_the_networks_that_can_be_files():
    assert FIXED == ["gated", "in2", "lama", "mdrnets", "pconv", "spl", "spn"]


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


BISENET = {"parser": "bisenet", "parser_size": 64, "parser_width": 8}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gmsrm", {"noise": "none"}),
        ("gmsrm", {"temperature": 0}),
        ("gmsrm", {"memory": False}),
        ("in2", {"attention": False, "pyramid": False, "groups": 1}),
        ("in2", {"bias": False, "form": "bilinear", "downsampling": 3, "groups": 1}),
        ("in2", {"grid": "normalised", "dpb": False, "groups": 1}),
        ("mdrnets", {**BISENET, "classes": 19, "patch": 2, "keys": "known", "query": "hole"}),
        ("mdrnets", {"dmm": False, "mrem": False}),
        ("spn-p", {"z": "mean"}),
    ],
    ids=str,
)
def test_so_do_the_forms_that_draw_nothing(name: str, changes: dict[str, Any], tmp_path: Path):
    """Whatever differs by the size of the photo; exporting compares two that were not traced."""
    source = write_small(name, tmp_path, **changes)
    made = export.export_onnx(source, tmp_path / "net.onnx", notes={})
    assert made.difference < 1e-5


def test_each_size_of_a_map_is_attended_as_by_the_plan():
    """Also where it is narrower than the kernel."""
    torch.manual_seed(0)
    attention = NeighbourhoodAttention(8, heads=2, kernel=5).eval()
    for size in ((3, 11), (5, 5), (9, 4), (17, 13)):
        x = torch.randn(2, *size, 8)
        with torch.inference_mode():
            torch.testing.assert_close(attention.for_export()(x), attention(x))


def test_contextual_attention_is_the_same_at_once_and_in_pieces():
    torch.manual_seed(0)
    x, mask = torch.randn(1, 6, 12, 20), torch.zeros(1, 1, 12, 20)
    for area in (slice(3, 9), slice(None)):  # in the second, no patch is visible
        mask[..., area, 4:10] = 1
        attention = ContextualAttention(budget=1000)
        torch.testing.assert_close(attention.for_export()(x, mask), attention(x, mask))


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
