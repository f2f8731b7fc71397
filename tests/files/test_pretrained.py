"""Backbones are found, verified, downloaded or asked for; the servers here are on loopback."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from server import open_shop

from inpaint_cli.errors import WeightsError
from inpaint_cli.files import pretrained
from inpaint_cli.layers.backbones import load_backbone


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A made backbone `tiny` on a server, and empty folders of its own to look in."""
    torch.save({"weight": torch.arange(4.0)}, tmp_path / "made.pth")
    content = (tmp_path / "made.pth").read_bytes()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INPAINT_WEIGHTS_DIR", str(tmp_path / "own"))
    monkeypatch.delenv("INPAINT_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda s: None))
    with open_shop() as shop:
        file = pretrained.torch_file("tiny", len(content), hashlib.sha256(content).hexdigest())
        shop.files[file.name] = content
        monkeypatch.setitem(
            pretrained.BACKBONES, "tiny", replace(file, url=f"{shop.url}/{file.name}")
        )
        yield SimpleNamespace(shop=shop, name=file.name, content=content)


def test_downloads_once_and_loads_without_pickles(published, tmp_path):
    found = pretrained.backbone_path("tiny")
    assert found == tmp_path / "own" / published.name
    published.shop.files.clear()
    assert pretrained.backbone_path("tiny") == found
    assert load_backbone("tiny")["weight"].tolist() == [0, 1, 2, 3]


def test_the_own_folder_comes_before_the_cache_of_torch(published, tmp_path, monkeypatch):
    cache = pretrained.torch_hub_dir() / published.name
    cache.parent.mkdir(parents=True)
    cache.write_bytes(published.content)
    assert pretrained.backbone_path("tiny") == cache
    own = tmp_path / "own" / published.name
    own.parent.mkdir()
    own.write_bytes(published.content)
    assert pretrained.backbone_path("tiny") == own
    monkeypatch.delenv("INPAINT_WEIGHTS_DIR")
    assert pretrained.backbone_path("tiny") == cache


def test_offline_says_what_to_put_where(published, tmp_path, monkeypatch):
    monkeypatch.setenv("INPAINT_OFFLINE", "1")
    with pytest.raises(WeightsError) as told:
        pretrained.backbone_path("tiny")
    for word in ("tiny", published.name, str(tmp_path / "own"), "http://127", "--weights-dir"):
        assert word in str(told.value)
    assert not list(tmp_path.glob("own/*.pth"))


def test_a_failed_download_says_the_same(published, tmp_path):
    published.shop.files.clear()
    with pytest.raises(WeightsError, match=r"put it there.*\(the download failed: .*404"):
        pretrained.backbone_path("tiny")
    assert not list(tmp_path.glob("own/*.pth"))


def test_a_damaged_file_is_refused_and_a_damaged_download_not_kept(published, tmp_path):
    published.shop.files[published.name] = published.content[:-1]
    with pytest.raises(WeightsError, match="SHA-256"):
        pretrained.backbone_path("tiny")
    assert not list(tmp_path.glob("own/*.pth"))
    own = tmp_path / "own" / published.name
    own.write_bytes(b"not it")
    with pytest.raises(WeightsError, match="delete it"):
        pretrained.backbone_path("tiny")


def test_every_published_name_promises_a_checksum():
    for file in pretrained.BACKBONES.values():
        assert file.url.startswith("https://")
        assert len(file.sha256) == 64
        assert file.name.endswith(f"-{file.sha256[:8]}.pth")
        assert file.url.endswith(f"/{file.name}")


def test_the_module_is_torch_free():
    spy = "import sys, inpaint_cli.files.pretrained; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", spy], check=True)
