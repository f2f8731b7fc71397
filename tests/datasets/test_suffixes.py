"""One table of picture suffixes for filling, training and masks."""

import shutil

import numpy as np
import pillow_jxl  # noqa: F401 - it lets Pillow write JPEG XL
import pytest
from click.testing import CliRunner
from PIL import Image

from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.datasets.collection import Collection, describe_skipped
from inpaint_cli.files.pictures import PICTURE_SUFFIXES
from inpaint_cli.images.read import enable_heif

FILES = registry.load_plugin("datasets", "files")
MODES = {".pgm": "L", ".pbm": "1", ".pfm": "F"}


def inpaint(*args):
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, each of which is a mask too, named after their suffixes, and a text file."""
    folder = tmp_path_factory.mktemp("place") / "pictures"
    folder.mkdir()
    pixels = np.zeros((32, 40, 3), np.uint8)
    pixels[8:20, 8:20] = 255
    enable_heif("the test")
    for suffix, form in PICTURE_SUFFIXES.items():
        image = Image.fromarray(pixels).convert(MODES.get(suffix, "RGB"))
        image.save(folder / f"{suffix[1:]}{suffix}", format=form)
    (folder / "readme.md").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def outputs(folder, tmp_path_factory):
    """What the commands print of the folder."""
    place = tmp_path_factory.mktemp("copies")
    masks, output = shutil.copytree(folder, place / "masks"), place / "out"
    pairs = inpaint("infer", folder, "--masks", masks, "-o", output, "--dry-run").stdout
    return {"infer": pairs, "masks check": inpaint("masks", "check", folder, "--json").stdout}


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_a_picture_of_every_suffix_is_found_by_every_command(folder, outputs, suffix):
    collection, name = Collection.at(FILES(), folder), f"{suffix[1:]}{suffix}"
    assert collection.decode(list(collection.names).index(name)).shape == (3, 32, 40)
    for command, output in outputs.items():
        assert name in output, command


def test_check_data_reads_pictures_of_every_suffix_and_counts_the_rest(folder):
    done = inpaint("train", "gated", "smoke", "--data", folder, "--check-data", "--workers", 0)
    assert done.exit_code == 0, done.output
    assert f"1 file in {folder} is not a picture: readme.md" in done.stderr
    assert f"0 of {len(PICTURE_SUFFIXES)} images cannot be read" in done.stderr


def test_files_that_are_not_pictures_are_counted_in_one_sentence(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert describe_skipped(FILES(), tmp_path) is None
    for name in ("c.csv", "a.txt", "b.md", ".hidden"):
        (tmp_path / name).touch()
    sentence = f"3 files in {tmp_path} are not pictures: a.txt, b.md, c.csv"
    assert describe_skipped(FILES(), tmp_path) == sentence
