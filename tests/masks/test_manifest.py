"""Manifests that cannot be drawn from are refused."""

import json

import pytest

from inpaint_cli.errors import DataError
from inpaint_cli.masks.generate import generate_masks, rebuild_masks
from inpaint_cli.masks.manifest import read_manifest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "../out.png"}, "not the name of a mask"),
        ({"file": "/out.png"}, "not the name of a mask"),
        ({"file": "out.sh"}, "not the name of a mask"),
        ({"generator": 4}, "no generator 4"),
        ({"width": 10**6, "height": 10**6}, "too large"),
        ({"seed": "x"}, ":2: not a manifest"),
    ],
)
def test_a_hostile_manifest_is_refused(tmp_path, change, says):
    generate_masks("center", tmp_path / "m", count=1, size=8)
    manifest = tmp_path / "m" / "masks.jsonl"
    header, entry = manifest.read_text().splitlines()
    manifest.write_text(header + "\n" + json.dumps(json.loads(entry) | change))
    with pytest.raises(DataError, match=says):
        rebuild_masks(manifest, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is not a manifest"), ("{}", ":1: not a manifest"), ("masks", ":1: not a manifest")],
)
def test_what_is_not_a_manifest_is_refused(tmp_path, text, says):
    (tmp_path / "masks.jsonl").write_text(text)
    with pytest.raises(DataError, match=says):
        read_manifest(tmp_path / "masks.jsonl")
    with pytest.raises(DataError, match=r"no\.jsonl is not a manifest"):
        read_manifest(tmp_path / "no.jsonl")
