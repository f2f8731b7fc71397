"""What is documented is generated or tested."""

import doctest
import re
import subprocess
import sys

import click
import pytest
from places import ROOT
from pydantic import TypeAdapter, ValidationError

from inpaint_cli import registry
from inpaint_cli.cli import COMMANDS, main
from inpaint_cli.files import zips
from inpaint_cli.filling import options
from inpaint_cli.images import bounds, read
from inpaint_cli.layers import pickles
from inpaint_cli.models import catalogue, hub, weights
from inpaint_cli.settings import Count
from inpaint_cli.web import serve

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_generated_parts_are_up_to_date():
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", "README.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_command_of_the_readme_is_what_ci_runs():
    command = "pip install uv && uv run pytest"
    assert command in README
    assert command.replace("install", "install -q") in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_reference_is_up_to_date():
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_site_builds_with_every_link_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "-q"]
    done = subprocess.run([*command, "-d", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [page.read_text("utf-8") for page in tmp_path.rglob("*.html")]
    assert len(pages) > 10
    assert not any(re.search(r"<(script|link|img)[^>]+https?://", page) for page in pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_examples_of_the_python_guide_run():
    done = doctest.testfile(str(ROOT / "docs" / "guide-python.md"), module_relative=False)
    assert done.attempted > 5
    assert not done.failed


def test_every_command_and_plugin_is_in_the_reference():
    commands = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    plugins = (ROOT / "docs" / "reference" / "plugins.md").read_text("utf-8")
    assert all(f"## inpaint {name}\n" in commands for name in COMMANDS)
    for kind in registry.KINDS:
        assert all(f"| `{name}` |" in plugins for name in registry.find_plugins(kind))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_are_real_command_lines(page):
    """Every `inpaint ...` line parses: its command exists and knows each option used."""
    lines = re.findall(r"^inpaint (.+)$", page.read_text("utf-8"), re.MULTILINE)
    if page == ROOT / "README.md":
        assert len(lines) >= 8
    for line in lines:
        words = line.split("#")[0].split()
        group: click.Command = main
        while isinstance(group, click.Group) and words:
            with click.Context(group) as ctx:
                found = group.get_command(ctx, words[0])
            assert found is not None, line
            group, words = found, words[1:]
        known = {name for p in group.params for name in (*p.opts, *p.secondary_opts)}
        used = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert used <= known, f"{line}: {used - known}"


RECORDING = re.compile(r"record\(\s*\"([\w-]+)\"")


def test_every_result_is_linked_from_the_page_of_benchmarks():
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    names = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.md")}
    assert names == set(re.findall(r"\(results/([\w-]+)\.md\)", page))
    for script in (ROOT / "benchmarks").glob("*.py"):
        for name in RECORDING.findall(script.read_text("utf-8")):
            assert name in names, f"{script.name} records {name}"


def test_the_page_of_limits_states_those_of_the_program():
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|", page, re.MULTILINE))
    stated = {
        "photo or mask": f"{bounds.MAX_PIXELS // 10**6} megapixels",
        "file of a picture": f"{read.LEAST_LIMIT >> 20} MiB, and 16 bytes more for each pixel that "
        "it claims",
        "member of a zip archive": f"{zips.LARGEST_MEMBER >> 20} MiB unpacked",
        "header of a weights file": f"{weights.LONGEST_HEADER // 10**6} MB",
        "checkpoint to convert (`.pt`, `.pth`, `.ckpt`)": f"{pickles.LARGEST_RATIO} times its own "
        "size, unpacked",
        "weights file of the Hub": f"{hub.LARGEST_FILE // 10**9} GB",
        "request to the page of `inpaint paint`": f"{serve.UPLOAD_LIMIT >> 20} MiB",
        "catalogue of published models": f"{catalogue.LONGEST_CATALOGUE // 10**6} million "
        "characters",
        "integers in recipes": "1,000,000,000",
        "lengths in pixels: `--grow`, `--feather`, `--window`": f"{options.LARGEST:,}",
    }
    assert rows == {"input": "limit", "---": "---", **stated}
    with pytest.raises(ValidationError, match="less than or equal to 1000000000"):
        TypeAdapter(Count).validate_python(1_000_000_001)
