"""Published files: found on this machine, or fetched once, whole and verified. Imports no torch.

What has arrived of a file is kept beside its place under a hidden name, so that fetching goes on
where it was cut. A lock lets several processes wait for one download. Nothing counts but the full
SHA-256: not the address, nor what a server says.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from .stamps import PIECE, hash_file
from .write import write_error

CACHED_PIECE = 1 << 18  # bytes received, written and hashed at a time
RESTARTS = 3  # of a download from a server that cannot go on where it was cut
HUB = "https://huggingface.co"
HUB_FILE = re.compile(re.escape(HUB) + r"/([^/]+)/([^/]+)/resolve/[^/]+/(.+)")


@dataclass(frozen=True)
class PublishedFile:
    """A file that somebody has published: its address, its size, its SHA-256 in hex."""

    name: str
    url: str
    bytes: int
    sha256: str
    also: Sequence[tuple[int, str]] = ()  # sizes and hashes of equal files, such as other exports

    @property
    def known(self) -> dict[str, int]:
        """The sizes of the files that are taken, by their hashes."""
        return {self.sha256: self.bytes} | {sha256: size for size, sha256 in self.also}


def fetch_file(
    file: PublishedFile,
    folder: Path,
    source: str | None = None,
    *,
    notify: Callable[[str], object] = lambda sentence: None,
) -> Path:
    """Bring `file` into `folder` and return its path there.

    `source` is a folder, or an address in place of the publisher's, with the file in it. Raises
    `WeightsError` where the file cannot be had, or is another one; what has arrived is then kept.
    """
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(target, notify):
            return verify_file(target, file) if target.exists() else receive(file, target, source)
    except OSError as error:
        raise write_error(target, error) from error


def hold_lock(target: Path, notify: Callable[[str], object]) -> Any:
    """Let one process at a time fetch `target`; return a context in which it is this one."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        return lock.acquire(timeout=0.5)
    except Timeout:
        notify(f"another process is fetching {target.name}: waiting for it")
        return lock.acquire()


def receive(file: PublishedFile, target: Path, source: str | None) -> Path:
    """Fetch `file` to `target`, from where it was cut."""
    part = target.with_name(f".{file.name}.{file.sha256[:8]}.part")
    part.touch()
    with ArrivingFile(part, "rb+") as arriving:
        arriving.begin(file.bytes)
        begun, place = arriving.tell(), source or file.url
        if begun < file.bytes:
            if source and Path(source).is_dir():
                place = str(Path(source, file.name))
                copy_file(Path(place), arriving)
            else:
                place = f"{source.rstrip('/')}/{file.name}" if source else file.url
                download_file(file, mirror_url(place), arriving)
        found = arriving.sha.hexdigest()
    if found != file.sha256:
        wrong = target.with_name(f"{file.name}.wrong")
        part.replace(wrong)
        raise WeightsError(
            f"{place} is not {file.name}, or damaged: its SHA-256 begins with {found[:8]}, not"
            f" {file.sha256[:8]}; it is kept as {wrong}: try again, or get the file elsewhere and"
            " give its folder with --from"
        )
    part.replace(target)
    return target


class ArrivingFile(FileIO):
    """A file that is being fetched: it never outgrows its size, and knows its hash."""

    def begin(self, size: int) -> None:
        """Go on after what is there of `size` bytes."""
        self.size, self.sha, self.restarts = size, hashlib.sha256(), 0
        while piece := self.read(PIECE):
            self.sha.update(piece)
        if self.tell() > size:
            self.seek(0)
            self.truncate()

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > self.size:
            raise OSError(errno.EFBIG, f"more than {self.size} bytes came")
        self.sha.update(data)
        if super().write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        """Begin again: the only truncation there is, where a server cannot go on.

        The library that downloads counts no try in which something came, and would never end.
        """
        if self.restarts == RESTARTS:
            raise OSError(errno.EIO, f"cut {RESTARTS + 1} times, and the server cannot go on there")
        self.restarts += 1
        self.sha = hashlib.sha256()
        return super().truncate(size)


def copy_file(source: Path, arriving: ArrivingFile) -> None:
    try:
        with source.open("rb") as file:
            file.seek(arriving.tell())
            shutil.copyfileobj(file, arriving, PIECE)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no {source}; check --from") from error


def download_file(file: PublishedFile, url: str, arriving: ArrivingFile) -> None:
    """Append what is missing of `file`, with a bar on stderr; retried where it is cut."""
    if is_offline():
        raise WeightsError(
            f"{file.name} is not on this machine, and nothing is downloaded offline: get {url} and"
            " give its folder with --from"
        )
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get

    # its own 10 MB leave the processor's cache between two steps, and are lost where it is cut
    constants.DOWNLOAD_CHUNK_SIZE = min(constants.DOWNLOAD_CHUNK_SIZE, CACHED_PIECE)
    try:
        http_get(url, arriving, resume_size=arriving.tell(), displayed_filename=file.name)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # whatever the library of the network raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{file.name} could not be fetched from {url}: {reason};"
            f" {os.fstat(arriving.fileno()).st_size:,} of {file.bytes:,} bytes are here, and the"
            " same command goes on from there"
        ) from error


def mirror_url(url: str) -> str:
    """Return `url` at the mirror that $HF_ENDPOINT names, as other programs use it."""
    mirror = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    return mirror + url.removeprefix(HUB) if url.startswith(HUB + "/") else url


def is_offline() -> bool:
    """Whether the user has forbidden downloads, to us or to the library that downloads."""
    switches = (os.environ.get(name, "0") for name in ("INPAINT_OFFLINE", "HF_HUB_OFFLINE"))
    return any(switch.lower() not in ("", "0", "false", "no", "off") for switch in switches)


def verify_file(path: Path, file: PublishedFile) -> Path:
    """`path`, if it is `file`; raise `WeightsError` otherwise."""
    if (found := hash_file(path)) not in file.known:
        raise WeightsError(
            f"{path} is damaged, or not the published {file.name}: its SHA-256 begins with"
            f" {found[:8]}, not {file.sha256[:8]}; delete it and try again"
        )
    return path


def find_file(file: PublishedFile, folders: Sequence[Path]) -> Path | None:
    """Return `file` in one of `folders` or in the caches of other programs, not verified.

    Files of that name and of another size, which are others' in the caches, are passed over there.
    """
    if own := next((f / file.name for f in folders if (f / file.name).is_file()), None):
        return own
    caches = [torch_hub_dir() / file.name]
    if on_hub := HUB_FILE.fullmatch(file.url):
        owner, name, path = on_hub.groups()
        caches += hub_cache_dir().glob(f"models--{owner}--{name}/snapshots/*/{path}")
    sizes = set(file.known.values())
    return next((p for p in caches if p.is_file() and p.stat().st_size in sizes), None)


def data_dir() -> Path:
    """The folder of what this program keeps for the user: models that were fetched."""
    from platformdirs import user_data_path

    return user_data_path("inpaint", appauthor=False)


def fetched_dir() -> Path:
    """The folder to which models are fetched: $INPAINT_WEIGHTS_DIR, or one of the data folder."""
    own = os.environ.get("INPAINT_WEIGHTS_DIR")
    return Path(own) if own else data_dir() / "weights"


def torch_hub_dir() -> Path:
    """Return the folder of torch hub's checkpoints, by torch's own rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub/checkpoints"


def hub_cache_dir() -> Path:
    """Return the folder of Hugging Face's cache, by its own rules."""
    home = os.environ.get("HF_HOME", os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()
