"""Two files of one name: the very same name wins, and doubles are refused with both names."""

import numpy as np
import pytest
from eval_sets import plan
from PIL import Image

from inpaint_cli.errors import DataError
from inpaint_cli.evaluation import samples


def save(folder, **files: int):
    """Gray pictures, by their name with an underscore for the dot."""
    folder.mkdir(exist_ok=True)
    for name, level in files.items():
        Image.new("RGB", (16, 16), (level,) * 3).save(folder / name.replace("_", "."))
    return folder


def pair(tmp_path):
    return samples.pair_results(tmp_path / "r", tmp_path / "t", None, plan().protocol)


def test_the_result_with_the_very_same_name_is_the_photos(tmp_path):
    save(tmp_path / "t", a_png=10, a_bmp=200, b_png=50)
    save(tmp_path / "r", a_png=10, a_bmp=200, b_bmp=50)
    found = pair(tmp_path)
    assert found.names == ["a.bmp", "a.png", "b.png"]
    assert [path.name for (path,) in found.results] == ["a.bmp", "a.png", "b.bmp"]
    for n in range(3):
        assert np.array_equal(found[n].truth, found[n].fills[0])
    (tmp_path / "r" / "a.bmp").unlink()
    found = pair(tmp_path)
    assert found.names == ["a.png", "b.png"]
    assert "a.bmp has no result" in " ".join(found.notes)


def test_doubles_are_refused_with_both_names(tmp_path):
    save(tmp_path / "t", a_png=10)
    save(tmp_path / "r", a_bmp=10, a_tif=10)
    with pytest.raises(DataError, match=r"r/a\.bmp and .*r/a\.tif are of one photo, a\.png"):
        pair(tmp_path)
    save(tmp_path / "t", a_gif=10)
    (tmp_path / "r" / "a.tif").unlink()
    with pytest.raises(DataError, match=r"r/a\.bmp could be of a\.gif and a\.png"):
        pair(tmp_path)


def test_masks_of_a_model_are_matched_alike(tmp_path):
    masks, used = save(tmp_path / "m", a_png=255, a_bmp=255), plan().protocol
    given, _ = samples.match_mask_files(["a.png", "a.bmp"], masks, used, 0)
    assert [each.file.name for each in given] == ["a.png", "a.bmp"]
    with pytest.raises(DataError, match=r"a\.bmp and .*a\.png are masks of one photo, a\.jpg"):
        samples.match_mask_files(["a.jpg"], masks, used, 0)
