"""What is documented is generated or tested."""

import re
import subprocess
import sys

import pytest
from places import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_generated_parts_are_up_to_date():
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", "README.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_command_of_the_readme_is_what_ci_runs():
    command = "pip install uv && uv run pytest"
    assert command in README
    assert command.replace("install", "install -q") in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text("utf-8")):
        assert (ROOT / target).exists(), target


def test_the_examples_of_the_readme_are_real_command_lines():
    """Every `inpaint ...` line parses: its command exists and knows each option used."""
    import click

    from inpaint_cli.cli import main

    lines = re.findall(r"^inpaint (.+)$", README, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        words = line.split("#")[0].split()
        group: click.Command = main
        while isinstance(group, click.Group):
            with click.Context(group) as ctx:
                found = group.get_command(ctx, words[0])
            assert found is not None, line
            group, words = found, words[1:]
        known = {name for p in group.params for name in (*p.opts, *p.secondary_opts)}
        used = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert used <= known, f"{line}: {used - known}"
