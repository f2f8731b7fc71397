"""Every plugin that is installed keeps the promises of its kind."""

import pytest
from PIL import Image

from inpaint_cli import registry
from inpaint_cli.testing import check_architecture, check_masks

# parameters that a gate which starts at zero hides from the first step's gradient
SHY: dict[str, tuple[str, ...]] = {}


@pytest.mark.parametrize("name", registry.found("architectures"))
def test_an_architecture_keeps_its_promises(name):
    check_architecture(name, without_gradient=SHY.get(name, ()))


@pytest.mark.parametrize("name", registry.found("masks"))
def test_a_mask_generator_keeps_its_promises(name, tmp_path):
    Image.new("1", (40, 30), 1).save(tmp_path / "mask.png")
    check_masks(name, {"path": tmp_path} if name == "files" else None)
