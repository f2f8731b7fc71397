from pathlib import Path
from typing import Any

import click

from .types import echo, mask_option, model_options, notify


@click.command()
@click.argument("photo", type=click.Path(exists=True, path_type=Path), required=False)
@mask_option("--mask", "FILE|FOLDER|alpha", "A mask, or a folder of masks, to begin with.")
@model_options
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on; with another than this, other machines reach the page.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="The port to listen on.  [default: 8467, or any that is free]",
)
@click.option(
    "--no-browser", is_flag=True, help="Open no browser: print the address, and serve scripts."
)
def paint_command(
    photo: Path | None,
    mask: str | None,
    model: Any,
    host: str,
    port: int | None,
    no_browser: bool,
) -> None:
    """Paint holes on a photo in the browser, fill them, and save.

    PHOTO is a photo or a folder of photos; without it, photos are dropped onto the page. The page
    is served by this machine to itself, needs no internet, and is reached by the printed address
    alone, whose token is new each time. Ctrl-C ends it, and with it all that was not saved.

    \b
    Examples:
      inpaint paint photo.jpg
      inpaint paint photos/ --model faces
      inpaint paint --no-browser
    """
    from ..web.serve import serve_page

    serve_page(
        photo,
        mask=Path(mask) if mask else None,
        model=model,
        host=host,
        port=port,
        browser=not no_browser,
        announce=echo,
        notify=notify,
    )
