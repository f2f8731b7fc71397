"""A few numbers of each network that no change may move: see tests/golden.

`pytest tests/test_golden.py --update-golden` overwrites them and prints what moved.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small import SMALL
from torch import nn

from inpaint_cli import registry

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def golden(name: str) -> dict[str, Any]:
    """Parameters, and mean, deviation and eight values of the output, of the small build.

    Weights are drawn here, sorted by name, so that the order in which a network makes its layers
    and how it begins to train are free to change.
    """
    architecture = registry.load_plugin("architectures", name)
    settings = architecture.settings.model_validate(SMALL[name]["model"])
    torch.manual_seed(0)  # for the vectors that spectral norms begin with
    net = architecture.build(settings).eval()
    rng = torch.Generator().manual_seed(0)
    for key, parameter in sorted(net.named_parameters()):
        draw(key, parameter, rng)
    image = torch.rand(1, 3, 32, 32, generator=rng)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:20, 8:28] = 1
    torch.manual_seed(0)  # for networks that draw
    with torch.inference_mode():
        out = net(image * (1 - mask), mask)
    filled = out if isinstance(out, torch.Tensor) else out[0]
    values = filled.flatten()[:: filled.numel() // 8][:8]
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "mean": filled.mean().item(),
        "deviation": filled.std().item(),
        "values": values.tolist(),
    }


@torch.no_grad()
def draw(key: str, parameter: nn.Parameter, rng: torch.Generator) -> None:
    noise = torch.randn(parameter.shape, generator=rng)
    fan = parameter[0].numel() if parameter.ndim > 1 else 100
    parameter.copy_(noise * (1.5 / fan**0.5))
    if parameter.ndim == 1 and key.endswith("weight"):
        parameter.add_(1)  # of a norm


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str, request: pytest.FixtureRequest):
    path = FOLDER / f"{name}.json"
    found, before = golden(name), json.loads(path.read_text())
    if request.config.getoption("--update-golden"):
        path.write_text(json.dumps(found, indent=2) + "\n")
        moved = {
            key: (before.get(key), found[key]) for key in found if before.get(key) != found[key]
        }
        if moved:
            pytest.skip(f"{name} moved: {moved}")
    for key, value in found.items():
        assert value == pytest.approx(before[key], abs=1e-4), key
