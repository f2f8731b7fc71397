"""Weights in a repository of the Hub, `hf:owner/name` or `hf:owner/name@revision`. No torch.

The one safetensors file of the repository is fetched, into the Hub's own cache, and nothing else.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WeightsError
from ..files.fetch import HUB, hub_cache_dir, is_offline
from ..files.stamps import hash_file
from ..wording import name_some
from .catalogue import PublishedModel
from .weights import inspect_weights

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoSibling

HUB_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w.-]+(?:/[\w.-]+)*))?", re.ASCII)
LARGEST_FILE = 20_000_000_000  # bytes
PATIENCE = 10  # seconds until a server must have answered


def is_hub_name(text: str) -> bool:
    """Whether `text` names a repository of the Hub, well or badly."""
    return text.startswith("hf:")


def fetch_weights(text: str) -> Path:
    """Return the weights file of `hf:owner/name`, fetched where it is missing or has changed.

    Where the Hub cannot be reached, or may not be, it is the one fetched before. One process uses
    one revision throughout. Raises `WeightsError` where there is no such repository, where it has
    not one safetensors file, or where that cannot be fetched.
    """
    match = HUB_NAME.fullmatch(text)
    if not match or ".." in text:
        raise WeightsError(f"'{text}' names no repository; write hf:owner/name or ...@revision")
    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    return fetch_once(match[1], match[2] or "main", endpoint, hub_cache_dir(), is_offline())


@lru_cache(maxsize=64)
def fetch_once(repository: str, revision: str, endpoint: str, cache: Path, offline: bool) -> Path:
    """See `fetch_weights`."""
    cached = find_cached(repository, revision, cache)
    if offline or (cached and re.fullmatch("[0-9a-f]{40}", revision)):
        if cached is None:
            raise WeightsError(
                f"hf:{repository} is not on this machine, and nothing is downloaded offline: use it"
                " once online, or give a weights file"
            )
        return cached
    from huggingface_hub import HfApi, errors, hf_hub_download

    where = f"{endpoint}/{repository}"
    try:
        info = HfApi(endpoint).model_info(
            repository, revision=revision, files_metadata=True, timeout=PATIENCE
        )
        file = choose_file(info.siblings or [], where)
        path = hf_hub_download(
            repository, file.rfilename, revision=revision, cache_dir=cache, endpoint=endpoint
        )
    except errors.HfHubHTTPError as error:
        if reason := refusal(error, revision):
            raise WeightsError(f"{where} {reason}") from error
        return cached_instead(cached, where, error)
    except WeightsError:
        raise
    except Exception as error:  # whatever the library of the network raises
        return cached_instead(cached, where, error)
    return verify_arrival(Path(path), file, cached)


def refusal(error: HfHubHTTPError, revision: str) -> str:
    """Return what the Hub refuses, and what to do; "" where it only fails."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return "has terms to be accepted: accept them there, then `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"has no revision '{revision}'; check its name"
    if error.response.status_code in (401, 403, 404):  # 401 is also for what does not exist
        return "does not exist, or is private: check the name, or `hf auth login`"
    return ""


def cached_instead(cached: Path | None, where: str, error: Exception) -> Path:
    """Return what was fetched before; raise `WeightsError` if there is nothing."""
    if cached:
        return cached
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    raise WeightsError(f"{where} could not be fetched: {reason}; try again") from error


def choose_file(files: list[RepoSibling], where: str) -> RepoSibling:
    """Return the one safetensors file among `files`; raise `WeightsError` if there is none."""
    found = [file for file in files if file.rfilename.endswith(".safetensors")]
    if len(found) != 1:
        names = name_some(sorted(file.rfilename for file in found))
        has = f"has {len(found)} safetensors files, {names}" if found else "has no safetensors file"
        raise WeightsError(f"{where} {has}; name a repository with one, or give a weights file")
    if found[0].size is None or found[0].size > LARGEST_FILE:
        size = f"{found[0].size / 1e9:.0f} GB" if found[0].size else "a size that is not said"
        raise WeightsError(
            f"{found[0].rfilename} in {where} has {size}, above {LARGEST_FILE / 1e9:.0f} GB: give"
            " a weights file"
        )
    return found[0]


def verify_arrival(path: Path, file: RepoSibling, cached: Path | None) -> Path:
    """`path`, if it has the size and the hash that the Hub says; otherwise it is deleted."""
    if path == cached:
        return path
    sha256 = file.lfs and file.lfs.get("sha256")
    if path.stat().st_size == file.size and (not sha256 or hash_file(path) == sha256):
        return path
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    raise WeightsError(f"{file.rfilename} came damaged, and was deleted; try again")


def find_cached(repository: str, revision: str, cache: Path) -> Path | None:
    """Return the file that was fetched before of `revision`, by the Hub's layout of its cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    ref = folder / "refs" / revision
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    found = [p for p in (folder / "snapshots" / commit).rglob("*.safetensors") if p.is_file()]
    return found[0] if len(found) == 1 else None


def hub_terms(text: str, path: Path) -> PublishedModel:
    """Return what the file at `path`, fetched as `text`, says of its licence and training data."""
    header = inspect_weights(path).header
    trained_on = header.get("trained_on") or header.get("data") or "data that it does not name"
    return PublishedModel(
        text, header.get("summary", ""), header.get("licence", "not said"), trained_on
    )
