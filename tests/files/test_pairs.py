"""Masks find their photos by name and place, and whatever is in doubt is told, not guessed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inpaint_cli.errors import DataError
from inpaint_cli.files.pairs import match_masks, pair_files
from inpaint_cli.files.pictures import stem_key


@pytest.fixture
def touch(tmp_path):
    def touch(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return touch


def pairs(found) -> dict[str, str | None]:
    return {each.name: each.mask and each.mask.name for each in found.pairs}


@pytest.mark.parametrize(
    "mask",
    ["cat.png", "cat.JPG", "cat_mask.png", "cat-mask.bmp", "cat_MASK.png", "cat_mask001.png",
     "mask_cat.png", "mask-cat.webp", "mask.png", "Mask.png"],
)  # fmt: skip
def test_a_mask_is_found_by_each_of_its_names(touch, mask):
    folder = touch("photos/a/cat.jpg", f"masks/a/{mask}", f"masks/b/{mask}")
    found = pair_files(folder / "photos", folder / "masks")
    assert pairs(found) == {"a/cat.jpg": mask}
    assert found.pairs[0].mask == folder / "masks" / "a" / mask
    assert [*found.unused] == [f"b/{mask}"]


def test_order_never_pairs(touch):
    folder = touch("photos/a.png", "photos/b.png", "masks/x.png", "masks/y.png")
    found = pair_files(folder / "photos", folder / "masks")
    assert not found.pairs
    assert [*found.alone] == ["a.png", "b.png"]
    assert [*found.unused] == ["x.png", "y.png"]
    assert "no mask" in found.alone["a.png"]
    assert "a_mask" in found.alone["a.png"]


def test_a_mask_called_as_a_photo_is_that_photos_alone(touch):
    folder = touch("p/cat.png", "p/cat_mask.png", "m/cat.png", "m/cat_mask.png")
    assert pairs(pair_files(folder / "p", folder / "m")) == {
        "cat.png": "cat.png",
        "cat_mask.png": "cat_mask.png",
    }


def test_several_masks_for_a_photo_are_refused_unless_one_has_its_very_name(touch):
    folder = touch("p/cat.jpg", "m/cat.png", "m/cat_mask.jpg")
    found = pair_files(folder / "p", folder / "m")
    assert not found.pairs
    assert not found.unused
    assert "2 masks: cat.png, cat_mask.jpg" in found.alone["cat.jpg"]
    found = pair_files(touch("m/cat.jpg") / "p", folder / "m")
    assert pairs(found) == {"cat.jpg": "cat.jpg"}
    assert [*found.unused] == ["cat.png", "cat_mask.jpg"]


def test_of_colliding_stems_only_the_very_same_names_are_pairs(touch):
    folder = touch("p/cat.png", "p/cat.jpg", "p/dog.jpg", "m/cat.png", "m/dog.png")
    found = pair_files(folder / "p", folder / "m")
    assert pairs(found) == {"cat.png": "cat.png", "dog.jpg": "dog.png"}
    assert [*found.alone] == ["cat.jpg"]
    folder = touch("q/cat.png", "q/cat.jpg", "n/cat.bmp")
    found = pair_files(folder / "q", folder / "n")
    assert [*found.alone] == ["cat.jpg", "cat.png"]
    assert all("photos called cat there (cat.jpg and cat.png)" in w for w in found.alone.values())
    assert pairs(pair_files(touch("n/cat.png", "n/cat.jpg") / "q", folder / "n")) == {
        "cat.jpg": "cat.jpg",
        "cat.png": "cat.png",
    }


def test_own_masks_go_before_the_common_one_of_the_folder(touch):
    folder = touch("a/cat.jpg", "a/dog.jpg", "a/dog_mask.png", "a/mask.png", "b/cow.jpg")
    found = pair_files(folder, folder)
    assert pairs(found) == {"a/cat.jpg": "mask.png", "a/dog.jpg": "dog_mask.png"}
    assert [*found.alone] == ["b/cow.jpg"]
    assert not found.unused


def test_one_mask_serves_all_photos_but_is_none(touch):
    folder = touch("cat.jpg", "cat.png", "sub/logo.png", "logo.png")
    found = pair_files(folder, folder / "logo.png")
    assert pairs(found) == dict.fromkeys(["cat.jpg", "cat.png", "sub/logo.png"], "logo.png")


def test_folders_inside_each_other_are_not_mixed_up(touch):
    folder = touch("cat.jpg", "masks/cat.png", "out/cat.jpg", "out/deep/dog.jpg")
    found = pair_files(folder, folder / "masks", skip=folder / "out")
    assert pairs(found) == {"cat.jpg": "cat.png"}
    assert not found.alone
    found = pair_files(folder / "masks", folder, skip=folder / "out")
    assert pairs(found) == {"cat.png": "cat.jpg"}
    assert not found.unused


def test_hidden_and_other_files_are_no_photos(touch):
    folder = touch(".cat.jpg", ".git/dog.jpg", "notes.txt", "ledger.jsonl")
    with pytest.raises(DataError, match=r"no photo in .*\.jpg"):
        pair_files(folder, None)


def test_linked_folders_are_not_walked(touch):
    folder = touch("a/cat.jpg")
    (folder / "a" / "round").symlink_to(folder)
    assert pairs(pair_files(folder, None)) == {"a/cat.jpg": None}


@pytest.mark.parametrize("only", ["cat.*", "a/*.jpg", "*.jpg"])
def test_only_some(touch, only):
    folder = touch("a/cat.jpg", "a/cat_mask.png", "b/dog.png", "b/dog_mask.png")
    found = pair_files(folder, folder, only=[only])
    assert pairs(found) == {"a/cat.jpg": "cat_mask.png"}
    assert not found.unused


def test_what_cannot_be_is_said(touch):
    folder = touch("p/cat.jpg", "m/cat.png")
    with pytest.raises(DataError, match="neither a folder"):
        pair_files(folder / "p" / "cat.jpg", None)
    with pytest.raises(DataError, match="does not exist"):
        pair_files(folder / "p", folder / "nowhere")
    with pytest.raises(DataError, match="no photo matches dog"):
        pair_files(folder / "p", folder / "m", only=["dog*"])


names = st.lists(
    st.builds(
        "{}{}{}.{}".format,
        st.sampled_from(["", "a/", "a/b/"]),
        st.sampled_from(["cat", "dog", "mask", "cat_mask", "mask_dog"]),
        st.sampled_from(["", "_mask", "-mask2"]),
        st.sampled_from(["png", "jpg"]),
    ),
    unique=True,
)


@given(names, names)
def test_every_photo_and_every_mask_is_accounted_for(photos, masks):
    places = {name: Path("p", name) for name in sorted(photos)}
    shapes = {name: Path("m", name) for name in sorted(masks)}
    found = match_masks(Path("p"), places, Path("m"), shapes)
    paired = [each.name for each in found.pairs]
    assert sorted([*paired, *found.alone]) == sorted(photos)
    used = {each.mask.relative_to("m").as_posix() for each in found.pairs if each.mask}
    assert not used & {*found.unused}
    assert all(stem_key(each.name)[0] == stem_key(str(each.mask)[2:])[0] for each in found.pairs)
