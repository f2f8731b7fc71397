"""The built-in finders against damage whose place is known."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

import inpaint_cli as inpaint
from inpaint_cli.errors import DataError, ImageError, InpaintError, PluginError
from inpaint_cli.testing import check_finder, damage
from inpaint_plugins.finders.network import WEIGHTS
from inpaint_plugins.finders.text import find_letters

DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # 2 pixels around


@pytest.fixture(scope="module")
def coffee():
    return data.coffee()[:360, :480]


def agreement(found, truth):
    """Recall and precision of pixels, within 2 pixels."""
    near = lambda mask: cv2.dilate(mask.astype(np.uint8), DISC) > 0  # noqa: E731
    return (
        (truth & near(found)).sum() / truth.sum(),
        (found & near(truth)).sum() / max(1, found.sum()),
    )


@pytest.mark.parametrize("change", ["jpeg", "small", "crop"])
def test_markup_is_what_differs_from_the_copy(coffee, change, tmp_path):
    painted, truth = damage.paint_over(coffee, np.random.default_rng(3))
    copy = Image.fromarray(painted)
    if change == "small":
        copy = copy.resize((300, 225), Image.Resampling.LANCZOS)
    if change == "crop":
        copy = copy.crop((20, 10, 470, 350))
        truth[:10] = truth[350:] = truth[:, :20] = truth[:, 470:] = False
    copy.save(tmp_path / "copy.jpg", quality=80)
    mask = inpaint.find_mask(coffee, "markup", marked=tmp_path / "copy.jpg")
    recall, precision = agreement(mask, truth)
    assert recall > 0.98
    assert precision > 0.95


def test_markup_alone_is_flat_and_saturated(coffee):
    painted, truth = damage.paint_over(coffee, np.random.default_rng(3))
    recall, precision = agreement(inpaint.find_mask(painted, "markup"), truth)
    assert recall > 0.98
    assert precision > 0.95
    assert not inpaint.find_mask(data.astronaut()[:200], "markup").any()


def test_what_strokes_enclose_is_found_if_asked_for(coffee):
    ring = coffee.copy()
    cv2.circle(ring, (240, 180), 60, (255, 0, 220), 9)
    assert not inpaint.find_mask(ring, "markup")[180, 240]
    assert inpaint.find_mask(ring, "markup:inside=true")[180, 240]


def test_a_copy_of_another_photo_is_refused(coffee, tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "copy.png")
    with pytest.raises(ImageError, match="does not look like a copy"):
        inpaint.find_mask(coffee, "markup", marked=tmp_path / "copy.png")


def test_a_difference_is_found_though_the_camera_moved(coffee, tmp_path):
    other = np.roll(coffee, (3, -4), (0, 1))[8:-8, 8:-8] * 0.9 + 5
    Image.fromarray(other.astype(np.uint8)).save(tmp_path / "other.png")
    photo = coffee[8:-8, 8:-8].copy()
    truth = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(truth, (150, 120), 30, 1, -1)
    photo[truth > 0] = 60, 160, 90
    mask = inpaint.find_mask(photo, "difference", other=tmp_path / "other.png", grow=1)
    recall, precision = agreement(mask, truth > 0)
    assert recall > 0.98
    assert precision > 0.9


def test_the_same_shot_has_no_difference(coffee, tmp_path):
    Image.fromarray(coffee).save(tmp_path / "other.jpg", quality=85)
    assert not inpaint.find_mask(coffee, "difference", other=tmp_path / "other.jpg").any()


def test_a_partner_is_found_by_name_in_a_folder(coffee, tmp_path):
    Image.fromarray(coffee).save(tmp_path / "photo.png")
    (tmp_path / "painted").mkdir()
    painted, _ = damage.paint_over(coffee, np.random.default_rng(3))
    with pytest.raises(DataError, match="no file called photo"):
        inpaint.find_mask(tmp_path / "photo.png", "markup", marked=tmp_path / "painted")
    Image.fromarray(painted).save(tmp_path / "painted" / "photo.jpg")
    assert inpaint.find_mask(tmp_path / "photo.png", "markup", marked=tmp_path / "painted").any()


def overlap(one, two):
    return (one & two).sum() / (one | two).sum()


@pytest.fixture(scope="module")
def disc():
    """A textured disc on another texture, and its mask."""
    rng = np.random.default_rng(0)
    photo = rng.normal((70, 110, 70), 12, (240, 320, 3))
    truth = np.zeros((240, 320), np.uint8)
    cv2.ellipse(truth, (170, 110), (60, 45), 20, 0, 360, 1, -1)
    photo[truth > 0] = rng.normal((190, 120, 90), 12, ((truth > 0).sum(), 3))
    return photo.clip(0, 255).astype(np.uint8), truth > 0


@pytest.mark.parametrize(
    "where", ["box=95,50,150,120", "at=170,110", "box=95,50,150,120,at=180,99"]
)
def test_an_object_is_cut_out_along_its_edge(disc, where):
    photo, truth = disc
    assert overlap(inpaint.find_mask(photo, f"object:{where},grow=0"), truth) > 0.95
    fringe = inpaint.find_mask(photo, f"object:{where}")
    assert (fringe | ~truth).all()


def test_a_large_photo_gives_the_same_object(disc):
    photo, truth = (np.kron(part, np.ones((5, 5, 1)[: part.ndim], part.dtype)) for part in disc)
    mask = inpaint.find_mask(photo, "object:box=475,250,750,600,grow=0")
    assert overlap(mask, truth) > 0.95


@pytest.mark.parametrize("where", ["box=400,0,10,10", "at=320,10", "at=5,5,avoid=-1,3"])
def test_places_outside_the_photo_are_refused(disc, where):
    with pytest.raises(ImageError, match="outside the photo"):
        inpaint.find_mask(disc[0], f"object:{where}")


def test_an_object_needs_a_place():
    with pytest.raises(InpaintError, match="say where the object is"):
        inpaint.find_mask(np.zeros((9, 9, 3), np.uint8), "object")


SQUARE = {"label": "cat", "points": [[10, 5], [30, 5], [30, 20], [10, 20]]}
BOX = {"label": "dog", "shape_type": "rectangle", "points": [[1, 1], [4, 3]]}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_labelme_outlines_are_read(tmp_path):
    photo = np.zeros((40, 60, 3), np.uint8)
    found = {"imageHeight": 40, "imageWidth": 60, "shapes": [SQUARE, BOX]}
    path = write(tmp_path / "photo.json", found)
    mask = inpaint.find_mask(photo, "labelme", file=path)
    assert mask[5:20, 10:30].all()
    assert mask[1:3, 1:4].all()
    assert abs(mask.sum() - 306) < 50
    assert not inpaint.find_mask(photo, "labelme", file=path, label="dog")[10, 20]
    with pytest.raises(DataError, match="are for 60x40, but the photo is 60x41"):
        inpaint.find_mask(np.zeros((41, 60, 3), np.uint8), "labelme", file=path)


def pack(counts):
    """Write run lengths as COCO does: differences to the last but one, 5 bits a character."""
    text = ""
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        while True:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


@pytest.mark.parametrize("form", ["polygon", "runs", "packed", "box"])
def test_coco_outlines_are_read_in_every_form(tmp_path, form):
    truth = np.zeros((40, 60), bool)
    truth[5:20, 10:30] = True
    flat = np.concatenate([[False], truth.T.ravel(), [False]])
    edges = np.flatnonzero(np.diff(flat.astype(int)))
    counts = np.diff([0, *edges, truth.size]).tolist()
    size = [40, 60]
    segmentation = {
        "polygon": [[10, 5, 30, 5, 30, 20, 10, 20]],
        "runs": {"counts": counts, "size": size},
        "packed": {"counts": pack(counts), "size": size},
        "box": None,
    }[form]
    shape = {"image_id": 7, "category_id": 1, "bbox": [10, 5, 20, 15]}
    found = {
        "images": [{"id": 7, "file_name": "a/photo.png", "height": 40, "width": 60},
                   {"id": 8, "file_name": "other.png"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [shape | {"segmentation": segmentation}, shape | {"image_id": 8}],
    }  # fmt: skip
    path = write(tmp_path / "all.json", found)
    Image.new("RGB", (60, 40)).save(tmp_path / "photo.png")
    mask = inpaint.find_mask(tmp_path / "photo.png", "coco", file=path, label="cat")
    assert (mask | ~truth).all()
    assert mask.sum() == 300 if form in ("runs", "packed") else mask.sum() <= 340
    Image.new("RGB", (60, 40)).save(tmp_path / "else.png")
    with pytest.raises(DataError, match="no images named else"):
        inpaint.find_mask(tmp_path / "else.png", "coco", file=path)


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", '{"shapes": 3}', '{"shapes": [{"label": 1, "points": [["a", 2]]}]}',
     '{"shapes": [{"label": 1, "points": []}]}', "[" * 100_000,
     '{"shapes": [{"label": "a", "shape_type": "star", "points": [[1, 2]]}]}',
     '{"images": [{"id": 1, "file_name": "p"}], "annotations": [{"image_id": 1, "category_id": 1,'
     ' "segmentation": {"counts": [5, -9, 99], "size": [40, 60]}}]}'],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_a_file_that_is_none_is_an_error_of_data(tmp_path, text, kind):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError):
        inpaint.find_mask(np.zeros((40, 60, 3), np.uint8), kind, file=tmp_path / "p.json")


@pytest.mark.parametrize("kind", ["markup", "difference", "coco", "labelme"])
def test_finders_with_a_file_keep_their_promises(kind, coffee, tmp_path):
    Image.fromarray(coffee).save(tmp_path / "copy.png")
    labels = {"imageHeight": 360, "imageWidth": 480, "shapes": [SQUARE]}
    images = {"images": [{"id": 1, "file_name": "photo.png"}], "annotations": []}
    settings = {
        "markup": {"marked": tmp_path / "copy.png"},
        "difference": {"other": tmp_path / "copy.png"},
        "labelme": {"file": write(tmp_path / "l.json", labels)},
        "coco": {"file": write(tmp_path / "c.json", images)},
    }
    check_finder(kind, settings[kind], coffee)


@pytest.mark.parametrize("draw", [damage.draw_stamp, damage.draw_caption])
@pytest.mark.parametrize("detector", ["network", "classic"])
def test_text_is_found_letter_by_letter(coffee, draw, detector):
    if detector == "network":
        pytest.importorskip("rapidocr")
    stamped, truth = draw(coffee, np.random.default_rng(5))
    recall, precision = agreement(inpaint.find_mask(stamped, "text", detector=detector), truth)
    if detector == "network":
        assert recall > 0.95
        assert inpaint.find_mask(coffee, "text").mean() < 0.002
    if draw is damage.draw_caption:  # the classic detector sees no stamps
        assert recall > 0.7
        assert precision > 0.8


def test_the_network_is_named_where_it_is_missing(coffee, monkeypatch):
    monkeypatch.setattr("inpaint_plugins.finders.text.network_file", lambda: None)
    with pytest.raises(PluginError, match=r"pip install 'inpaint-cli\[text\]'"):
        inpaint.find_mask(coffee, "text:detector=network")
    inpaint.find_mask(coffee, "text")


@pytest.fixture(scope="module")
def hills():
    """Soft hills with grain, and no line in them."""
    rng = np.random.default_rng(2)
    coarse = rng.normal(110, 25, (6, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "draw"), [("scratches", damage.draw_scratches), ("dust", damage.draw_dust)]
)
@pytest.mark.parametrize("detector", ["network", "classic"])
def test_damage_to_a_print_is_found(hills, kind, draw, detector):
    kind = f"{kind}:detector={detector}"
    damaged, truth = draw(hills, np.random.default_rng(1))
    recall, precision = agreement(inpaint.find_mask(damaged, kind), truth)
    assert recall > 0.85
    assert precision > 0.9
    assert inpaint.find_mask(hills, kind).mean() < 0.002
    large = cv2.resize(damaged, (1920, 1440), interpolation=cv2.INTER_CUBIC)
    large_truth = cv2.resize(truth.astype(np.uint8), (1920, 1440)) > 0
    assert agreement(inpaint.find_mask(large, kind), large_truth)[0] > 0.5


def test_the_network_for_damage_is_small_and_says_what_it_learned_from():
    assert WEIGHTS.stat().st_size < 300_000
    about = WEIGHTS.with_suffix(".md").read_text("utf-8")
    assert "may all be redistributed" in about


def test_the_frame_of_a_photo_is_no_scratch(hills):
    framed = hills.copy()
    framed[:, :2] = 250
    mask = inpaint.find_mask(framed, "scratches")
    assert mask[:, :6].mean() < 0.02
    framed[:, 300:302] = 250
    assert inpaint.find_mask(framed, "scratches")[40:440, 300].mean() > 0.9


def test_more_is_found_where_more_is_asked_for(hills):
    damaged, _ = damage.draw_dust(hills // 2 + 90, np.random.default_rng(3))
    few, usual, many = (
        inpaint.find_mask(damaged, f"dust:sensitivity={value}") for value in (0.3, 1, 4)
    )
    assert few.sum() < usual.sum() < many.sum()


def test_strays_beside_letters_of_one_colour_are_left(coffee):
    """Red letters over grey stones: the stones are as bright, and have another tint."""
    rng = np.random.default_rng(0)
    stones = np.repeat(rng.normal(110, 60, (90, 120, 1)), 3, 2).clip(0, 255).astype(np.uint8)
    stones = cv2.resize(stones, (480, 360), interpolation=cv2.INTER_CUBIC)
    letters = damage.draw_words(stones.shape[:2], "12.8.94", (240, 180), 40) > 0.5
    photo = np.where(letters[..., None], np.array([255, 60, 40], np.uint8), stones)
    line = np.zeros(stones.shape[:2], bool)
    line[150:210, 150:330] = True
    found = find_letters(photo, line, 40)
    recall, precision = agreement(found, letters)
    assert recall > 0.95
    assert precision > 0.9


@pytest.mark.parametrize(("tone", "found"), [("light", 210), ("dark", 30)])
def test_only_damage_of_the_tone_asked_for_is_found(hills, tone, found):
    damaged = hills.copy()
    for x, level in ((200, 210), (400, 30)):
        damaged[60:420, x : x + 2] = level
    mask = inpaint.find_mask(damaged, f"scratches:tone={tone}")
    assert (mask[100:400, [200, 400]].mean(0) > 0.9).tolist() == [found == 210, found == 30]
