"""Files of torch.save: what is no such file, packed to burst or claims too much is refused."""

import pickle
import zipfile

import pytest
import torch

from inpaint_cli.errors import WeightsError
from inpaint_cli.layers.pickles import load_pickle


def test_tensors_and_plain_values_come_back(tmp_path):
    state = {"step": 3, "net": {"weight": torch.arange(6.0).reshape(2, 3)}, "names": ["a"]}
    torch.save(state, tmp_path / "s.pt")
    loaded = load_pickle(tmp_path / "s.pt")
    assert loaded["step"] == 3
    assert loaded["net"]["weight"].equal(state["net"]["weight"])


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80 neither", b"PK\x03\x04 torn", pickle.dumps(print)],
    ids=["empty", "noise", "torn", "a function"],
)
def test_other_files_are_refused_in_a_sentence(data, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        load_pickle(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_packed_to_burst_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 2**26)
    with pytest.raises(WeightsError, match="unpacks to 67,108,864 bytes"):
        load_pickle(path)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path):
    path = tmp_path / "wide.pt"
    torch.save({"net": {"weight": torch.zeros(1).expand(10**9)}}, path)
    with pytest.raises(WeightsError, match=r"net\.weight is larger than what the file stores"):
        load_pickle(path)
