"""A plugin that is broken or doubled hurts only who asks for it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image
from places import ROOT
from toy import declare

from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.errors import PluginError

MODULES = {
    "raises": "import a_library_that_is_not_there",
    "leaves": "import sys; sys.exit('no licence was found')",
    "wrong": "class Thing: ...",
}
POINTS = {
    "raises": "raises:Thing",
    "leaves": "leaves:Thing",
    "lacks": "wrong:Nothing",
    "wrong": "wrong:Thing",
    "module": "wrong",
    "twice": "wrong:Thing",
}
TOLD = {
    "raises": r"inpaint-one 1\.0 failed to load 'raises': ModuleNotFoundError",
    "leaves": r"inpaint-one 1\.0 failed to load 'leaves': SystemExit\('no licence was found'\)",
    "lacks": r"inpaint-one 1\.0 failed to load 'lacks': AttributeError",
    "wrong": r"'wrong' of inpaint-one 1\.0 is not a subclass of {base}; update or uninstall it",
    "module": r"'module' of inpaint-one 1\.0 is not a subclass of {base}",
    "twice": r"{one} 'twice' is offered by inpaint-(one|two) 1\.0 and by inpaint-(one|two) 1\.0; ",
    "twise": r"no {one} named 'twise'; did you mean 'twice'\?",
}


@pytest.fixture(autouse=True)
def broken(tmp_path, monkeypatch):
    """Two packages, in which each kind of plugin is broken in every way."""
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    points = "".join(f"{name} = {target}\n" for name, target in POINTS.items())
    declare(tmp_path, "inpaint-one", "".join(f"[inpaint.{k}]\n{points}" for k in registry.KINDS))
    twice = "".join(f"[inpaint.{k}]\ntwice = wrong:Thing\n" for k in registry.KINDS)
    declare(tmp_path, "inpaint-two", twice)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def inpaint(*args: str):
    return CliRunner().invoke(main, args)


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("kind", registry.KINDS)
def test_whoever_asks_is_told_in_a_sentence(kind, name):
    told = TOLD[name].format(base=registry.KINDS[kind], one=kind.removesuffix("s"))
    with pytest.raises(PluginError, match=told):
        registry.load_plugin(kind, name)


def test_a_fill_with_another_plugin_is_not_hurt():
    Image.new("RGB", (8, 8)).save("photo.png")
    mask = Image.new("L", (8, 8))
    mask.putpixel((4, 4), 255)
    mask.save("mask.png")
    done = inpaint("fill", "photo.png", "--mask", "mask.png", "--model", "ns")
    assert done.exit_code == 0, done.output


def test_plugins_lists_them_all():
    rows = json.loads(inpaint("plugins", "--json").stdout)
    for kind in registry.KINDS:
        names = [r["name"] for r in rows if r["kind"] == kind and r["from"].endswith(" 1.0")]
        assert sorted(names) == sorted([*POINTS, "twice"])


def test_models_leaves_them_out():
    listed = inpaint("models", "--json")
    assert listed.exit_code == 0
    assert not {row["name"] for row in json.loads(listed.stdout)} & POINTS.keys()
    for name in POINTS:
        assert f"'{name}'" in listed.stderr


def test_finders_that_work_are_listed_beside_those_that_do_not():
    listed = inpaint("masks", "finders", "--json")
    assert listed.exit_code == 0, listed.output
    rows = {row["kind"]: row for row in json.loads(listed.stdout)}
    assert rows["color"]["settings"]["value"] == "required"
    assert not rows["color"]["problem"]
    for name in POINTS:
        assert f"'{name}'" in rows[name]["problem"]
    assert (
        "cannot be used: inpaint-one 1.0 failed to load 'leaves'"
        in inpaint("masks", "finders").stdout
    )


def test_doctor_names_each_with_its_traceback():
    report = inpaint("doctor", "--json")
    assert report.exit_code == 1
    found = json.loads(report.stdout)["broken"]
    assert {(b["kind"], b["name"]) for b in found} == {
        (k, n) for k in registry.KINDS for n in POINTS
    }
    text = inpaint("doctor").stdout
    assert "BROKEN masks leaves: inpaint-one 1.0 failed to load 'leaves': SystemExit" in text
    assert "    SystemExit: no licence was found" in text


LISTING = """
import sys
from inpaint_cli import registry
for name in registry.find_plugins({kind!r}):
    plugin = registry.load_plugin({kind!r}, name)
    assert plugin.__doc__.strip()
    {read}
heavy = sys.modules.keys() & {{"torch", "torchvision", "numpy", "pydantic"}}
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("architectures", "plugin.trains(), plugin.licence, plugin.source, plugin.needs_weights"),
        ("formats", "pass"),
    ],
)
def test_what_a_listing_reads_imports_nothing_heavy(kind, read):
    code = LISTING.format(kind=kind, read=read)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
