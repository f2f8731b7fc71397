"""The first morning of docs/guide-training.md, followed to the letter."""

import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from places import ROOT
from toy import photos

from inpaint_cli.cli import main
from inpaint_cli.training.saving import LossMeter

PAGE = (ROOT / "docs" / "guide-training.md").read_text("utf-8")


def read_lines(title):
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^inpaint (.+)$", section, re.MULTILINE)


def inpaint(line):
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code in (0, 130), (line, result.output)
    return result


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 6)
    Image.open("photos/0.jpg").save("photo.png")
    mask = Image.new("L", (48, 40))
    mask.paste(255, (10, 10, 20, 20))
    mask.save("mask.png")


def test_the_first_morning_of_a_researcher(place, monkeypatch):
    (masks, dry, first, resume, second, runs, compare, house, other, publish, inspect, fill) = (
        read_lines("The first morning")
    )
    inpaint(masks)
    assert len(list(Path("masks").glob("*.png"))) == 24
    assert "parameters" in inpaint(dry).stdout
    stop_after(1, monkeypatch)
    stopped = inpaint(first)
    assert stopped.exit_code == 130
    assert "Continue with:" in stopped.stderr
    assert resume == f"{first} --resume"
    assert inpaint(resume).stdout == "runs/eight\n"
    inpaint(second)
    listed = inpaint(runs).stdout
    assert re.search(r"eight +finished +4 of 4 ", listed)
    assert re.search(r"sixteen +finished ", listed)
    assert re.search(r"pconv\.model\.width +8 +16", inpaint(compare).stdout)
    assert "<polyline" in Path("compared.html").read_text()
    for line, name in ((house, "house"), (other, "edgeconnect")):
        assert f"by {name} (" in inpaint(line).stdout
        assert Path(f"scores/{name}/report.html").is_file()
    inpaint(publish)
    card = Path("to-share/README.md").read_text()
    assert "house" in card
    assert "edgeconnect" in card
    assert re.search(r"architecture: +pconv", inpaint(inspect).stdout)
    inpaint(fill)
    assert Path("photo.filled.png").is_file()


def stop_after(step, monkeypatch):
    """Let Ctrl-C be pressed once, after a step."""
    add, pressed = LossMeter.add, []

    def press(meter, taken):
        add(meter, taken)
        if taken.done == step and not pressed:
            pressed.append(os.kill(os.getpid(), signal.SIGINT))

    monkeypatch.setattr(LossMeter, "add", press)
