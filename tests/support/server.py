"""A server on loopback that publishes files, and misbehaves as asked."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Shop(ThreadingHTTPServer):
    """Serves `files` by the last part of their paths; what it does with them is in `manners`.

    ranges: answers ranges; cut: drops each answer after that many bytes; longer: promises more
    bytes than there are; endless: sends more than it promises to; pause: seconds between pieces;
    status: answers with that. `repositories` are files by the names of repositories, which are
    answered for as the Hub does, and those in `closed` with that status.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.manners: dict[str, float] = {"ranges": 1}
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.closed: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []  # path and range of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Shop  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        manners = self.server.manners
        self.server.asked.append((self.path, self.headers.get("Range")))
        content = self.server.files.get(self.path.rpartition("/")[2])
        if self.server.repositories:
            content = self.find_on_hub(self.path.partition("?")[0])
            if content is None:
                return
        self.close_connection = True
        if content is None or manners.get("status"):
            self.send_response(int(manners.get("status", 404)))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and manners.get("ranges"):
            begin = int(asked[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.repositories:
            self.send_header("Connection", "close")
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_body(content[begin:])

    do_HEAD = do_GET

    def find_on_hub(self, path: str) -> bytes | None:
        """Return what is at `path` of the Hub; None once it has been refused."""
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path)
        at = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = api or at
        name, revision = match.groups()[:2] if match else ("", None)
        files = self.server.repositories.get(name)
        refused = {401: "", 403: "GatedRepo", 404: "RepoNotFound"}
        status = self.server.closed.get(name) or (0 if files is not None else 404)
        code = refused.get(status, "")
        if not status and revision not in (None, "main", COMMIT):
            status, code = 404, "RevisionNotFound"
        if status or files is None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if at:
            return files[at[3]]
        siblings = [
            {
                "rfilename": file,
                "size": len(content),
                "lfs": {
                    "size": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "pointerSize": 130,
                },
            }
            for file, content in files.items()
        ]
        return json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()

    def send_body(self, content: bytes) -> None:
        manners = self.server.manners
        if manners.get("endless"):
            self.send_header("Transfer-Encoding", "chunked")
            content = content * 100
        else:
            self.send_header("Content-Length", str(len(content) + int(manners.get("longer", 0))))
        self.end_headers()
        if self.command == "HEAD":
            return
        content = content[: int(manners.get("cut", len(content)))]
        size = 4096 if "pause" in manners else 1 << 20
        for at in range(0, len(content), size):
            piece = content[at : at + size]
            if manners.get("endless"):
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            try:
                self.wfile.write(piece)
                self.wfile.flush()
            except OSError:  # whoever asked has heard enough
                return
            time.sleep(manners.get("pause", 0))


@contextmanager
def open_shop() -> Iterator[Shop]:
    shop = Shop()
    thread = threading.Thread(target=shop.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield shop
    finally:
        shop.shutdown()
        thread.join()
        shop.server_close()
