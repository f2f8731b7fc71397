"""The door of the server: only the page itself, with the token, comes in."""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse

from ..errors import InpaintError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
HEADERS = {
    "Cache-Control": "no-store",  # nothing stays on disk but what was saved
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestTooLarge(InpaintError):
    """More came than is taken."""


class Guard:
    """Checks each request before `app` sees it, without the token that its path begins with.

    `Host` must be an address of this machine, since a page elsewhere could have its own name lead
    here; `Origin`, where there is one, must be ours; a body may have `limit` bytes at most.
    """

    def __init__(self, app: Any, *, token: str, host: str, limit: int) -> None:
        self.app, self.token, self.host, self.limit = app, token, host, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None
        headers = Headers(scope=scope)
        given, slash, rest = scope["path"].removeprefix("/").partition("/")
        if problem := self.find_problem(headers, given):
            return await JSONResponse({"error": problem}, 403, HEADERS)(scope, receive, send)
        if not slash:
            return await RedirectResponse(f"/{self.token}/", headers=HEADERS)(scope, receive, send)
        if int(headers.get("content-length") or 0) > self.limit:
            response = JSONResponse({"error": self.too_large()}, 413, HEADERS)
            return await response(scope, receive, send)
        await self.app({**scope, "path": f"/{rest}"}, self.count(receive), self.seal(send))

    def find_problem(self, headers: Headers, token: str) -> str:
        """Return why a request with `headers` is refused, or nothing."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_own_host(host, self.host):
            return f"'{host}' is not an address of this page; open the one that was printed"
        if origin is not None and origin != f"http://{host}":
            return f"requests from {origin} are refused; use the page itself"
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return "the address lacks the right token; open the one that `inpaint paint` printed"
        return ""

    def too_large(self) -> str:
        return f"more than {self.limit / 2**20:.0f} MiB came at once; choose a smaller file"

    def count(self, receive: Receive) -> Receive:
        """Return `receive` that raises once too much has come."""
        size = 0

        async def receive_some() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.limit:
                raise RequestTooLarge(self.too_large())
            return message

        return receive_some

    @staticmethod
    def seal(send: Send) -> Send:
        """Return `send` that adds our headers to each response."""
        extra = [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]

        async def send_sealed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        return send_sealed


def is_own_host(host: str, bound: str) -> bool:
    """Whether the header `host` names this machine, for a server that is bound to `bound`."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    if bound in LOOPBACK:
        return name in LOOPBACK
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in LOOPBACK | {bound.lower(), socket.gethostname().lower()}
    return True
