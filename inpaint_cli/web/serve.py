"""Serve the page until it is stopped."""

from __future__ import annotations

import secrets
import signal
import socket
import webbrowser
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

from ..errors import InpaintError
from ..filling.fill import Notify
from ..models.choose import ModelRef

PORT = 8467  # tried first, so that a browser finds its settings of the page again
UPLOAD_LIMIT = 512 * 2**20  # bytes of one request
GOODBYE = 1  # seconds that open connections get when the server ends


def serve_page(
    photo: Path | None = None,
    *,
    mask: Path | None = None,
    model: ModelRef | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    announce: Notify,
    notify: Notify,
) -> None:
    """Serve a page on which holes are painted on a photo, or the photos of a folder, and filled.

    `announce` is given the address, with its token, once the page can be opened; `notify`
    sentences about it. Returns when Ctrl-C or a signal ends it; what was not saved is gone then.
    Raises `InpaintError` where the extra `web` is not installed or the port is taken.
    """
    try:
        import uvicorn

        from .app import make_app
        from .guard import LOOPBACK, Guard
        from .session import Session
    except ImportError as error:
        raise InpaintError(
            f"the page needs {error.name}: pip install 'inpaint-cli[web]'"
        ) from error
    token = secrets.token_urlsafe(24)
    with TemporaryDirectory(prefix="inpaint-paint-") as folder, open_socket(host, port) as door:
        session = Session(Path(folder), photo, mask, model)
        app = Guard(make_app(session), token=token, host=host, limit=UPLOAD_LIMIT)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{door.getsockname()[1]}/{token}/"
        if host not in LOOPBACK:
            notify(
                f"the page is open to whoever reaches {host} and has its address; what is sent"
                " is not encrypted"
            )
        announce(address)
        if browser:
            Timer(0.2, webbrowser.open, [address]).start()
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=GOODBYE
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder is removed
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[door])


def open_socket(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on `port`, or on `PORT`, or else on any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, PORT if port is None else port), family=family)
    except OSError as error:
        if port is None:
            return open_socket(host, 0)
        reason = str(error.strerror).partition(" (while")[0]
        raise InpaintError(
            f"{host}:{port} cannot be listened on ({reason}); give another --port or --host"
        ) from error
