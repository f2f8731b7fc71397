"""CONTRIBUTING.md, followed to the letter by somebody who adds the architecture that it shows."""

import re
import shlex
import sys
import zipfile
from pathlib import Path
from runpy import run_path

import pytest
from click.testing import CliRunner
from hatchling.build import build_wheel
from PIL import Image
from places import ROOT
from toy import photos

from inpaint_cli.cli import main

SECTION = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Add an architecture\n")[2]
FILES = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"`(pip install [^`]+|pytest|inpaint [^`]+)`", SECTION)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of the text, installed as a wheel, which needs no network, and some photos."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    zipfile.ZipFile(build_wheel(".")).extractall("site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    photos(tmp_path / "photos", 5)
    Image.open("photos/0.jpg").save("photo.png")
    mask = Image.new("L", (48, 40))
    mask.paste(255, (10, 10, 20, 20))
    mask.save("mask.png")
    yield
    sys.modules.pop("inpaint_blur", None)


def test_a_stranger_adds_an_architecture(folder):
    install, plugins, test, train, fill = COMMANDS
    assert install == "pip install -e ."
    assert re.search(r"architectures +blur +inpaint-blur 1\.0 +inpaint_blur:Blur", inpaint(plugins))
    assert "inpaint_blur" not in sys.modules
    assert test == "pytest"
    (check,) = (f for name, f in run_path("test_blur.py").items() if name.startswith("test"))
    check()
    inpaint(train)
    inpaint(fill)
    photo, filled = (Image.open(name).convert("RGB") for name in ("photo.png", "photo.filled.png"))
    assert photo.getpixel((0, 0)) == filled.getpixel((0, 0))
    assert photo.getpixel((15, 15)) != filled.getpixel((15, 15))


def inpaint(command: str) -> str:
    program, *words = shlex.split(command)
    assert program == "inpaint"
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_takes_as_many_lines_as_the_readme_says():
    lines = [line for text in FILES.values() for line in text.splitlines() if line.strip()]
    assert f"in about {round(len(lines), -1)} lines" in (ROOT / "README.md").read_text("utf-8")
