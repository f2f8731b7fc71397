"""How long asking takes: `inpaint --help` and `inpaint plugins` beside a bare click group.

The peer is a script with a click group of as many commands as ours, each with one option. All
are run as processes, in turn. The bars are 1.3x for the help and 2x for the list of plugins.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from table import paired, record

from inpaint_cli.cli import COMMANDS

PEER = """
import click
@click.group()
def main(): "Fill holes in photos."
{commands}
main(prog_name="peer")
"""
COMMAND = """
@main.command(help={line!r})
@click.option("--json", is_flag=True, help="Print JSON.")
def command_{n}(json): ...
"""
OURS = "from inpaint_cli.cli import main; main(prog_name='inpaint')"  # what the script does


def start(*args: str):
    return lambda: subprocess.run([sys.executable, *args], check=True, capture_output=True)


with tempfile.TemporaryDirectory() as folder:
    peer = Path(folder, "peer.py")
    commands = "".join(COMMAND.format(n=n, line=line) for n, line in enumerate(COMMANDS.values()))
    peer.write_text(PEER.format(commands=commands))
    bare, ours, plugins = paired(
        start(str(peer), "--help"),
        start("-c", OURS, "--help"),
        start("-c", OURS, "plugins"),
        rounds=21,
    )

record(
    "startup",
    "Start-up",
    f"""
| command | median of 21 | to the bare group | bar |
| --- | ---: | ---: | ---: |
| a bare click group of {len(COMMANDS)} commands, `--help` | {bare * 1000:.0f} ms | 1.00 | |
| `inpaint --help` | {ours * 1000:.0f} ms | {ours / bare:.2f} | 1.30 |
| `inpaint plugins` | {plugins * 1000:.0f} ms | {plugins / bare:.2f} | 2.00 |
""",
)
