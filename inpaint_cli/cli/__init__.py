"""The command line: parse, call one public function, print. No torch is imported here.

A command lives in the module of its name (`-` becomes `_`) as `NAME_command`, and is imported when
it runs, so that `inpaint --help` costs no more than click itself.
"""

import errno
from importlib import import_module

import click

from ..errors import ArgumentError, InpaintError
from ..wording import printable

COMMANDS = {
    "fill": "Fill the holes of a photo.",
    "paint": "Paint holes on a photo in the browser, fill them, and save.",
    "infer": "Fill the holes of all photos of a folder.",
    "compare": "Fill a photo with several models: a sheet and a table.",
    "explain": "Show the steps of a model on its way to a fill.",
    "train": "Train an architecture by a recipe.",
    "runs": "List trainings, or compare some.",
    "eval": "Measure fills by a named protocol.",
    "protocols": "List and show the protocols of `inpaint eval`.",
    "scores": "Compare two results of `inpaint eval`, image by image.",
    "recipes": "List, show, check and compare recipes.",
    "masks": "Find masks in photos; draw, check and rebuild sets of masks.",
    "mask-gen": "Draw a set of masks that can be rebuilt.",
    "models": "List, fetch and remove the models that fill can use.",
    "weights": "Inspect weights files, and choose what `fill` uses.",
    "plugins": "List the plugins that are installed.",
    "demo": "Fill a bundled sample photo.",
    "doctor": "Say what is installed here, and what is broken.",
}

MODULES = {"eval": "evaluate"}  # a module of that name would hide Python's own


class Commands(click.Group):
    """Commands by name; the module of one is imported when it runs."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in COMMANDS:
            return None
        stem = cmd_name.replace("-", "_")
        module = import_module(f"{__name__}.{MODULES.get(stem, stem)}")
        return getattr(module, f"{stem}_command")

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, info_name, args, parent=None, **extra):
        if any("\0" in arg for arg in args):  # which no path can have
            raise click.UsageError("an argument has a NUL in it; leave it out")
        try:
            return super().make_context(info_name, args, parent, **extra)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except ArgumentError as error:  # functions name the arguments as commands do their options
            option = error.argument.replace("_", "-")
            raise click.UsageError(printable(f"--{option}: {error.reason}")) from error
        except InpaintError as error:
            raise click.ClickException(printable(str(error))) from error
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            name = printable(str(error.filename))[:80]
            raise click.ClickException(f"{name}: {error.strerror}; give another name") from error
        except KeyboardInterrupt:  # click would leave with 1, which means that something failed
            click.echo("\ninterrupted", err=True)
            ctx.exit(130)


@click.group(cls=Commands)
@click.version_option(package_name="inpaint-cli")
def main() -> None:
    """Fill holes in photos."""
