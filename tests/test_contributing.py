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

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def read_walk(title: str) -> tuple[dict[str, str], list[str]]:
    """Return the files of a walk-through by name, and the commands in its order."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return dict(files), re.findall(r"`(pip install [^`]+|pytest|inpaint [^`]+)`", section)


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """The files of the text, installed as a wheel, which needs no network, and some photos."""
    monkeypatch.chdir(tmp_path)
    files, commands = read_walk(request.param)
    for name, text in files.items():
        Path(name).write_text(text)
    zipfile.ZipFile(build_wheel(".")).extractall("site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    photos(tmp_path / "photos", 5)
    Image.open("photos/0.jpg").save("photo.png")
    mask = Image.new("L", (48, 40))
    mask.paste(255, (10, 10, 20, 20))
    mask.save("mask.png")
    yield commands
    for name in ("inpaint_blur", "inpaint_mean"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("folder", ["Add an architecture"], indirect=True)
def test_a_stranger_adds_an_architecture(folder):
    install, plugins, test, train, fill = folder
    assert install == "pip install -e ."
    assert re.search(r"architectures +blur +inpaint-blur 1\.0 +inpaint_blur:Blur", inpaint(plugins))
    assert "inpaint_blur" not in sys.modules
    assert test == "pytest"
    (check,) = (f for name, f in run_path("test_blur.py").items() if name.startswith("test"))
    check()
    inpaint(train)
    inpaint(fill)
    check_filled()


@pytest.mark.parametrize("folder", ["Add a filler"], indirect=True)
def test_a_stranger_adds_a_filler(folder):
    install, plugins, test, fill = folder
    assert install == "pip install -e ."
    assert re.search(r"fillers +mean +inpaint-mean 1\.0 +inpaint_mean:Mean", inpaint(plugins))
    assert "inpaint_mean" not in sys.modules
    assert test == "pytest"
    (check,) = (f for name, f in run_path("test_mean.py").items() if name.startswith("test"))
    check()
    inpaint(fill)
    check_filled()


def check_filled() -> None:
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
    lines = [
        line
        for text in read_walk("Add an architecture")[0].values()
        for line in text.splitlines()
        if line.strip()
    ]
    assert f"in about {round(len(lines), -1)} lines" in (ROOT / "README.md").read_text("utf-8")
