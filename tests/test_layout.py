"""The tree keeps its own rules: format, lint, types, imports, and what a wheel holds."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

BIN = Path(sys.executable).parent


def run(*command: object, **options):
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["basedpyright"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_the_code_keeps_the_rules_of_pyproject(command):
    run(BIN / command[0], *command[1:])


def test_plugins_may_import_nothing_of_the_program_but_the_api():
    """The contract forbids by name; a room that is added must be on its list."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contracts = {contract["id"]: contract for contract in rules["contracts"]}
    program = {path.stem for path in (ROOT / "inpaint_cli").iterdir() if path.stem[0] not in "_p."}
    forbidden = contracts["plugins-see-the-api"]["forbidden_modules"]
    assert {name.partition(".")[2] for name in forbidden} == program - {"api", "lazy"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What is installed where there is no checkout: the wheel, unpacked, alone on the path."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    zipfile.ZipFile(built).extractall(folder / "site")
    return folder / "site"


def outside(site: Path, *args: str) -> str:
    """Run `inpaint` from `site`, in another folder; -S leaves out the checkout's own .pth."""
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *libraries])}
    done = subprocess.run(
        [sys.executable, "-S", "-m", "inpaint_cli", *args],
        cwd=site.parent,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_holds_every_plugin_and_recipe(wheel):
    assert outside(wheel, "plugins") == run(BIN / "inpaint", "plugins")
    assert outside(wheel, "recipes") == run(BIN / "inpaint", "recipes")
    assert '"broken": []' in outside(wheel, "doctor", "--json")


def test_a_wheel_holds_nothing_else(wheel):
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"inpaint_cli", "inpaint_plugins"}
