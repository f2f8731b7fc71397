"""Published files from a server on loopback that cuts, lies, is slow, or serves another file."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from server import Shop, open_shop

from inpaint_cli.errors import InpaintError, WeightsError
from inpaint_cli.files import fetch
from inpaint_cli.files.fetch import PublishedFile, fetch_file, find_file, verify_file

CONTENT = bytes(range(256)) * 200  # 51,200 bytes


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch):
    """Downloads are allowed, from loopback alone; retries do not wait, silence ends soon."""
    for name in ("INPAINT_OFFLINE", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda s: None))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB


@pytest.fixture
def shop():
    with open_shop() as shop:
        shop.files["net.bin"] = CONTENT
        yield shop


def published(shop: Shop, content: bytes = CONTENT) -> PublishedFile:
    digest = hashlib.sha256(content).hexdigest()
    return PublishedFile("net.bin", f"{shop.url}/v1/net.bin", len(content), digest)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize(
    "manners",
    [
        {"ranges": 1},
        {},
        {"ranges": 1, "cut": 10_000},
        {"ranges": 1, "pause": 0.02},
        {"longer": 0, "ranges": 1, "cut": 51_199},
    ],
    ids=["ranges", "no ranges", "cut often", "slow", "cut before its last byte"],
)
def test_a_file_arrives_whole(shop: Shop, manners: dict[str, float], tmp_path: Path):
    shop.manners = manners
    found = fetch_file(published(shop), tmp_path / "new" / "folder")
    assert found.read_bytes() == CONTENT
    assert leftovers(found.parent) == {"net.bin"}
    if "cut" in manners:
        assert shop.asked[1][1] == f"bytes={int(manners['cut']) // 1000 * 1000}-"
    before = len(shop.asked)
    assert fetch_file(published(shop), found.parent) == found
    assert len(shop.asked) == before, "what is there was fetched again"


@pytest.mark.parametrize("ranges", [0, 1])
def test_another_run_goes_on_where_the_last_was_cut(shop: Shop, ranges: int, tmp_path: Path):
    shop.manners = {"cut": 30_000}  # without ranges: every try begins again
    with pytest.raises(WeightsError, match=r"30,000 of 51,200 bytes are here, and the same"):
        fetch_file(published(shop), tmp_path)
    assert len(leftovers(tmp_path)) == 1
    shop.manners, shop.asked = {"ranges": ranges}, []
    assert fetch_file(published(shop), tmp_path).read_bytes() == CONTENT
    assert shop.asked == [("/v1/net.bin", "bytes=30000-")]


@pytest.mark.parametrize(
    ("manners", "content", "sentence"),
    [
        ({}, b"<html>log in</html>", "is not net.bin, or damaged"),
        ({}, CONTENT[:-1] + b"?", "is not net.bin, or damaged"),
        ({}, b"", "is not net.bin, or damaged"),
        ({}, CONTENT + b"?", "more than 51200 bytes came"),
        ({"endless": 1}, CONTENT, "more than 51200 bytes came"),
        ({"longer": 9, "ranges": 1}, CONTENT, "could not be fetched from http://127"),
        ({"status": 404}, CONTENT, "could not be fetched from .*404"),
        ({"status": 500}, CONTENT, "could not be fetched from .*500"),
        ({"pause": 2}, CONTENT, "could not be fetched"),
    ],
)
def test_what_is_not_the_file_never_takes_its_place(
    shop: Shop, manners: dict[str, float], content: bytes, sentence: str, tmp_path: Path
):
    shop.manners, shop.files["net.bin"] = manners, content
    with pytest.raises(WeightsError, match=sentence):
        fetch_file(published(shop), tmp_path)
    assert not (tmp_path / "net.bin").exists()


def test_a_wrong_file_is_kept_aside_and_the_next_try_begins_anew(shop: Shop, tmp_path: Path):
    shop.files["net.bin"] = b"another"
    with pytest.raises(WeightsError, match=r"it is kept as .*net\.bin\.wrong: try again"):
        fetch_file(published(shop), tmp_path)
    assert (tmp_path / "net.bin.wrong").read_bytes() == b"another"
    shop.files["net.bin"] = CONTENT
    assert fetch_file(published(shop), tmp_path).read_bytes() == CONTENT


def test_what_somebody_put_there_is_refused_but_not_replaced(shop: Shop, tmp_path: Path):
    (tmp_path / "net.bin").write_bytes(b"mine")
    with pytest.raises(WeightsError, match=r"not the published net\.bin"):
        fetch_file(published(shop), tmp_path)
    assert (tmp_path / "net.bin").read_bytes() == b"mine"
    assert not shop.asked


def test_nobody_there_is_told_in_a_sentence(tmp_path: Path):
    with open_shop() as gone:
        file = published(gone)
    with pytest.raises(WeightsError, match=r"could not be fetched.*0 of 51,200 bytes are here"):
        fetch_file(file, tmp_path)


@pytest.mark.parametrize("name", ["INPAINT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(
    shop: Shop, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match=r"nothing is downloaded offline: get http.*--from"):
        fetch_file(published(shop), tmp_path)
    assert not shop.asked


@pytest.mark.parametrize("kind", ["folder", "address", "mirror of the hub"])
def test_a_mirror_is_as_good(
    shop: Shop, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = PublishedFile(
        "net.bin",
        "https://huggingface.co/owner/name/resolve/main/net.bin",
        len(CONTENT),
        published(shop).sha256,
    )
    source = None
    if kind == "folder":
        (tmp_path / "stick").mkdir()
        (tmp_path / "stick" / "net.bin").write_bytes(CONTENT)
        source = str(tmp_path / "stick")
        monkeypatch.setenv("INPAINT_OFFLINE", "1")  # which forbids downloads alone
    elif kind == "address":
        source = f"{shop.url}/mirror/"
    else:
        monkeypatch.setenv("HF_ENDPOINT", shop.url)
    assert fetch_file(file, tmp_path / "own", source).read_bytes() == CONTENT
    paths = {"folder": [], "address": ["/mirror/net.bin"]}
    asked = [path for path, _ in shop.asked]
    assert asked == paths.get(kind, ["/owner/name/resolve/main/net.bin"])


def test_a_folder_without_the_file_is_named(shop: Shop, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"there is no .*net\.bin; check --from"):
        fetch_file(published(shop), tmp_path / "own", str(tmp_path))


def test_a_proxy_is_asked_where_the_environment_names_one(shop: Shop, tmp_path: Path):
    """In a process of its own: the library reads the environment once."""
    code = (
        "from pathlib import Path; from inpaint_cli.files.fetch import *;"
        f"fetch_file(PublishedFile('net.bin', 'http://weights.invalid/net.bin', {len(CONTENT)},"
        f" '{published(shop).sha256}'), Path({str(tmp_path)!r}))"
    )
    own = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env = own | {"HTTP_PROXY": shop.url, "http_proxy": shop.url}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net.bin").read_bytes() == CONTENT
    assert shop.asked == [("http://weights.invalid/net.bin", None)]


def test_two_at_once_fetch_it_once(shop: Shop, tmp_path: Path):
    shop.manners = {"ranges": 1, "pause": 0.08}
    told: list[str] = []
    threads = [
        threading.Thread(
            target=fetch_file, args=(published(shop), tmp_path), kwargs={"notify": told.append}
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "net.bin").read_bytes() == CONTENT
    assert len(shop.asked) == 1
    assert told == ["another process is fetching net.bin: waiting for it"]


def test_a_full_disk_and_a_folder_that_is_none_are_told(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(InpaintError, match=r"net\.bin cannot be written: "):
        fetch_file(published(shop), tmp_path / "file")

    def full(self: object, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetch.ArrivingFile, "write", full)
    with pytest.raises(WeightsError, match="No space left on device"):
        fetch_file(published(shop), tmp_path)
    assert not (tmp_path / "net.bin").exists()


def test_what_other_programs_fetched_is_found(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = PublishedFile(
        "net.bin",
        "https://huggingface.co/owner/name/resolve/main/onnx/net.bin",
        len(CONTENT),
        published(shop).sha256,
        ((7, hashlib.sha256(b"another").hexdigest()),),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_file(file, [tmp_path / "own"]) is None
    hub = tmp_path / "huggingface/hub/models--owner--name/snapshots/0123abc/onnx/net.bin"
    torch = tmp_path / "torch/hub/checkpoints/net.bin"
    own = tmp_path / "own/net.bin"
    for place, content in ((hub, CONTENT), (torch, b"another"), (own, CONTENT)):
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        assert find_file(file, [tmp_path / "own"]) == place
        assert verify_file(place, file) == place
    own.unlink()
    torch.write_bytes(b"a stranger's file of that name")
    assert find_file(file, [tmp_path / "own"]) == hub
