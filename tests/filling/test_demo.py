import numpy as np
from click.testing import CliRunner
from PIL import Image

from inpaint_cli.cli import main


def test_the_demo_prints_four_pictures_that_are_there(tmp_path):
    result = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "out")], catch_exceptions=False)
    assert result.exit_code == 0
    photo, mask, filled, page = (opened(path) for path in result.stdout.split())
    assert photo.size == mask.size == filled.size == (600, 400)
    assert page.width > 3 * 600
    assert "0 of" in result.stderr  # pixels outside the hole
    changed = (np.asarray(photo) != np.asarray(filled)).any(-1)
    hole = np.asarray(mask)
    assert changed[hole].any()
    assert not changed[~hole].any()
    again = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "out")])
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


def opened(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()
