import json

import click

from .types import echo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def doctor_command(as_json: bool) -> None:
    """Say what is installed here, and what is broken.

    Imports every plugin, and shows the traceback of each that does not load. The text between
    the two rulers is made to be pasted into a bug report: the home folder is written as ~.
    Exit code 1 when a plugin is broken.
    """
    from .. import doctor

    report = doctor.examine_machine()
    echo(json.dumps(report, indent=2) if as_json else doctor.report_text(report))
    if report["broken"]:
        raise click.exceptions.Exit(1)
