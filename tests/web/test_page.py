"""The page in a real Chromium: painted on with mouse and keys; what it saves is looked at."""

import os
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium or Chrome is installed here; nothing is downloaded"
)
expect.set_options(timeout=60_000)  # the machine may be busy
SHAPE = (400, 600)
SPOT = (slice(150, 170), slice(280, 320))  # white, on a ramp


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = np.stack([rows // 2, columns // 3, 90 + 0 * rows], -1).astype(np.uint8)
    pixels[SPOT] = 255
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels[:, ::-1]).save(folder / "b.png")
    return folder


@contextmanager
def serve(*arguments):
    """Run `inpaint paint`, as a user would; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "inpaint_cli", "paint", "--no-browser", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def address(photos):
    with serve(photos, "--model", "telea") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class User:
    """What a user does: points are those of the photo."""

    def __init__(self, page):
        self.page = page
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, address):
        self.page.goto(address)
        self.until("inpaint.editor && document.querySelector('#model').value")
        return self

    def until(self, condition):
        """Wait until a condition of JavaScript holds; the page allows no `eval` of its own."""
        for _ in range(1200):
            if self.page.evaluate(f"() => Boolean({condition})"):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"it never came true: {condition}")

    def place(self, x, y):
        code = (
            "([x, y]) => { const box = document.querySelector('#mask-layer')"
            ".getBoundingClientRect(); const at = inpaint.view.toStage({x, y});"
            " return [box.left + at.x, box.top + at.y]; }"
        )
        return self.page.evaluate(code, [x, y])

    def drag(self, *points):
        """Press the mouse at the first of `points`, and release it at the last."""
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=3)
        self.page.mouse.up()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def count(self):
        return self.page.evaluate("() => inpaint.editor.mask.count")

    @property
    def mask(self):
        """The mask as the page would send it: bool [H, W]."""
        code = (
            "() => [...inpaint.editor.mask.squares].map(([key, square]) =>"
            " [key, btoa(String.fromCharCode(...square.bits))])"
        )
        mask = np.zeros((512, 1024), np.bool_)
        for key, bits in self.page.evaluate(code):
            part = np.unpackbits(np.frombuffer(b64decode(bits), np.uint8)).reshape(512, 512)
            mask[:, 512 * (key % 65536) :][:, :512] = part
        return mask[: SHAPE[0], : SHAPE[1]]

    def fill(self):
        before = self.page.evaluate("() => inpaint.editor.results.size")
        self.press("Control+Enter")
        self.until(f"inpaint.editor.results.size > {before} && !inpaint.busy")


@pytest.fixture
def user(browser, address):
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    user = User(context.new_page()).open(address)
    yield user
    assert user.problems == []
    context.close()


def test_a_mark_is_painted_over_filled_compared_and_saved(user, photos):
    page = user.page
    user.press("r")
    user.drag((275, 145), (325, 175))
    assert user.mask[145:175, 275:325].all()
    assert user.count == 30 * 50
    user.fill()
    shown = page.evaluate("() => inpaint.editor.reviews && inpaint.scene.content.maskHidden")
    assert shown
    user.press("c")
    expect(page.get_by_role("slider", name="Before and after")).to_be_visible()
    user.press("Control+s")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#saved-notes")).to_contain_text("0 of")
    expect(page.locator("#command")).to_contain_text("--model telea")
    page.get_by_role("button", name="Done").click()
    with Image.open(photos / "a.png") as before, Image.open(photos / "a.filled.png") as after:
        changed = (np.asarray(before) != np.asarray(after)).any(-1)
        hole = np.asarray(after)[SPOT].astype(int)
    inside = np.zeros(SHAPE, np.bool_)
    inside[145:175, 275:325] = True
    assert not changed[~inside].any()
    assert hole.max() < 130, "the white spot is gone"
    user.press("Control+s")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("exists already")
    page.get_by_role("button", name="Cancel").click()


def test_strokes_are_erased_undone_and_done_again(user):
    user.press("b")
    user.drag((100, 100), (200, 100))
    painted = user.mask
    assert painted[100, 100:200].all()
    assert not painted[150].any()
    user.press("x")
    user.drag((150, 80), (150, 120))
    erased = user.mask
    assert not erased[100, 150]
    assert erased[100, 105]
    user.press("Control+z")
    assert np.array_equal(user.mask, painted)
    user.press("Control+z")
    assert user.count == 0
    user.press("Control+Shift+z", "Control+y")
    assert np.array_equal(user.mask, erased)
    user.press("Delete")
    assert user.count == 0
    user.press("Control+z")
    assert np.array_equal(user.mask, erased)


def test_shapes_reach_the_edge_and_take_away(user):
    user.press("l", "-", "-", "-")
    user.drag((-20, -20), (60, -20), (60, 60), (-20, 60))
    assert user.mask[:58, :58].all()
    user.press("r", "x")
    user.drag((10, 10), (20, 30))
    mask = user.mask
    assert not mask[10:30, 10:20].any()
    assert mask[31:50, 10:20].all()
    user.press("i", "x")
    user.drag((300, 50), (300, 90))
    assert user.mask[50:90, 300].all()


def test_sizes_zoom_and_the_wheel(user):
    page = user.page
    user.press("b")
    before = page.evaluate("() => inpaint.controls.sizeOf('brush', inpaint.photo)")
    user.press("]", "]", "{")
    middle = page.evaluate("() => inpaint.controls.sizeOf('brush', inpaint.photo)")
    assert 0 < middle < 1.3 * before
    scale = page.evaluate("() => inpaint.view.scale")
    page.mouse.move(*user.place(100, 100))
    page.mouse.wheel(0, -240)
    assert page.evaluate("() => inpaint.view.scale") > 1.3 * scale
    here = page.evaluate("() => inpaint.tool.hover")
    assert abs(here["x"] - 100) < 2, "the point under the pointer stays"
    user.press("1")
    expect(page.locator("#zoom")).to_have_text("100 %")
    user.press("0")
    assert page.evaluate("() => inpaint.view.scale") == pytest.approx(scale)


def test_pixels_on_the_screen_are_those_of_the_photo(user):
    code = """() => { const {below, content, ratio} = inpaint.scene;
      const at = content.view.toStage({x: 300.5, y: 160.5});
      return [...below.getImageData(at.x * ratio, at.y * ratio, 1, 1).data.slice(0, 3)]; }"""
    user.until("inpaint.editor.tiles.kept.size && !inpaint.editor.tiles.pending.size")
    user.page.wait_for_timeout(100)
    assert user.page.evaluate(code) == [255, 255, 255]


def test_the_photo_is_shown_until_a_result_is_here(user):
    """A busy server sends the result late: until then nothing is blank."""
    code = """() => { const {below, content, ratio} = inpaint.scene;
      const at = content.view.toStage({x: 300.5, y: 160.5});
      return [...below.getImageData(at.x * ratio, at.y * ratio, 1, 1).data]; }"""
    user.press("r")
    user.drag((270, 140), (330, 180))
    user.page.route("**/view/**", lambda route: route.abort())
    user.fill()
    user.page.wait_for_timeout(200)
    assert user.page.evaluate(code) == [255] * 4
    user.page.unroute("**/view/**")
    for _ in range(100):
        if user.page.evaluate(code) != [255] * 4:
            return
        user.page.wait_for_timeout(100)
    raise AssertionError("the result never came")


def test_the_mask_and_the_results_survive_a_reload(user):
    user.press("r")
    user.drag((30, 300), (60, 330))
    mask = user.mask
    user.until("!inpaint.editor.sync.running")
    user.page.reload()
    user.until("inpaint.editor")
    assert np.array_equal(user.mask, mask)
    user.fill()
    results = user.page.evaluate("() => inpaint.editor.results.size")
    user.page.reload()
    user.until("inpaint.editor")
    assert user.page.evaluate("() => inpaint.editor.results.size") == results
    assert user.page.evaluate("() => inpaint.editor.reviews")


def test_a_stroke_on_a_result_goes_on_from_it_and_undo_brings_its_mask_back(user):
    user.press("r")
    user.drag((400, 300), (430, 330))
    first_mask = user.mask
    user.fill()
    user.page.mouse.move(*user.place(500, 300))
    user.page.mouse.down()
    user.page.mouse.move(*user.place(540, 340))
    user.press("Escape")
    user.page.mouse.up()
    assert np.array_equal(user.mask, first_mask), "a stroke that is given up leaves no trace"
    assert user.page.evaluate("() => inpaint.editor.reviews")
    user.drag((500, 300), (520, 320))
    state = user.page.evaluate("() => [inpaint.editor.state.base, inpaint.editor.state.shown]")
    assert state[0] == state[1] is not None
    assert user.count == 20 * 20
    user.fill()
    assert user.page.evaluate("() => inpaint.editor.state.base") == state[0]
    user.press("Control+z", "Control+z")
    assert np.array_equal(user.mask, first_mask)
    assert user.page.evaluate("() => inpaint.editor.reviews")
    user.press("m")
    assert not user.page.evaluate("() => inpaint.editor.reviews")


def test_a_fill_is_cancelled_and_the_mask_stays(user):
    user.press("r")
    user.drag((20, 20), (580, 380))
    count = user.count
    user.page.select_option("#model", "biharmonic")
    user.press("Control+Enter")
    user.page.get_by_role("button", name="Cancel").click()
    user.until("!inpaint.busy")
    expect(user.page.get_by_role("button", name="Fill")).to_be_enabled()
    assert user.count == count
    assert not user.page.evaluate("() => inpaint.editor.reviews")
    user.press("Delete")
    user.drag((20, 20), (30, 30))
    user.page.select_option("#model", "telea")
    user.fill()


def test_two_tabs_do_not_disturb_each_other(user, address):
    other = User(user.page.context.new_page()).open(address)
    user.press("r")
    user.drag((20, 20), (40, 40))
    other.press("r")
    other.drag((100, 100), (130, 130))
    user.fill()
    other.fill()
    for each, count in ((user, 20 * 20), (other, 30 * 30)):
        each.press("m")
        each.page.reload()
        each.until("inpaint.editor")
        assert each.count == count
    assert other.problems == []


def test_everything_is_reached_by_keys_alone(user):
    page = user.page
    page.locator("#mask-layer").focus()
    user.press("b", "ArrowRight", "Enter", "ArrowDown", "ArrowDown", "Enter")
    assert user.count > 100
    page.get_by_role("radio", name="Brush").focus()
    user.press("ArrowDown")
    expect(page.get_by_role("radio", name="Eraser")).to_be_checked()
    names = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input, a.button')].filter(e =>"
        " !(e.ariaLabel || e.title || e.innerText.trim() || e.labels?.length)).map(e => e.id)"
    )
    assert [name for name in names if not name.endswith("-file")] == []


def test_growing_is_shown_while_it_is_set(user):
    user.press("r")
    user.drag((100, 200), (120, 220))
    slider = user.page.get_by_role("slider", name="Grow")
    slider.focus()
    user.press("ArrowRight", "ArrowRight", "ArrowRight")
    user.until("inpaint.editor.grown")
    grown = "[...inpaint.editor.grown.values()].reduce((sum, square) => sum + square.count, 0)"
    assert 26 * 26 - 40 < user.page.evaluate(f"() => {grown}") <= 26 * 26


def test_a_click_finds_a_colour_and_undo_forgets_it(user):
    user.press("k")
    expect(user.page.get_by_role("slider", name="Likeness")).to_be_visible()
    user.page.mouse.click(*user.place(300, 160))
    user.until("inpaint.editor.mask.count && !inpaint.busy")
    assert user.mask[SPOT].all()
    assert user.count < 24 * 44, "the spot, and a pixel around it"
    expect(user.page.locator("#messages")).to_contain_text("'color' found")
    user.press("Control+z")
    assert user.count == 0


def test_an_object_is_found_by_a_box_and_by_clicks(user):
    """The spot is the object; a click beside it takes away, undo brings it all back."""
    user.press("o")
    user.drag((262, 138), (338, 182))
    user.until("inpaint.editor.mask.count && !inpaint.busy")
    by_box = user.mask
    assert by_box[SPOT].mean() > 0.95
    assert user.count < 2 * 20 * 40, "no more than the spot and its fringe"
    expect(user.page.locator("#messages")).to_contain_text("'object' found")
    user.press("Control+z")
    assert user.count == 0
    user.page.mouse.click(*user.place(300, 160))
    user.until("inpaint.editor.mask.count && !inpaint.busy")
    by_click = user.count
    assert user.mask[160, 300]
    user.page.keyboard.down("Alt")
    user.page.mouse.click(*user.place(330, 190))
    user.page.keyboard.up("Alt")
    user.until("!inpaint.busy")
    assert not user.mask[190, 330]
    assert user.count <= by_click
    user.press("Control+z", "Control+z")
    assert user.count == 0


def test_photos_of_a_folder_have_masks_of_their_own(user):
    user.press("r")
    user.drag((10, 10), (20, 20))
    name = user.page.evaluate("() => inpaint.photo.name")
    user.press("PageDown")
    user.until(f"inpaint.photo.name !== {name!r}")
    assert user.count == 0
    user.press("PageUp")
    user.until(f"inpaint.photo.name === {name!r}")
    assert user.count == 100


def test_a_photo_is_dropped_and_its_mask_loaded(user, tmp_path, photos):
    mask = np.zeros(SHAPE, np.uint8)
    mask[SPOT] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    (tmp_path / "none.png").write_text("not a photo")
    user.page.locator("#photo-file").set_input_files(tmp_path / "none.png")
    expect(user.page.get_by_role("alert")).to_contain_text("none.png is not a picture")
    user.page.locator("#photo-file").set_input_files(photos / "b.png")
    user.until("!inpaint.photo.given")
    user.page.locator("#mask-file").set_input_files(tmp_path / "m.png")
    user.until("inpaint.editor.mask.count")
    assert np.array_equal(user.mask, mask > 0)
    user.fill()
    with user.page.expect_download() as download:
        user.press("Control+s")
    with Image.open(download.value.path()) as saved:
        assert saved.size == SHAPE[::-1]
    assert download.value.suggested_filename == "b.filled.png"


def test_a_lost_connection_loses_nothing(browser, photos):
    context = browser.new_context()
    with serve(photos / "a.png", "--model", "telea") as address:
        user = User(context.new_page()).open(address)
        user.press("r")
        user.drag((10, 10), (20, 20))
    user.drag((30, 30), (40, 40))
    expect(user.page.get_by_role("alert")).to_contain_text("connection to inpaint is lost")
    assert user.count == 200
    context.close()


def test_a_connection_that_is_lost_in_a_fill_is_waited_for(user):
    """The fill goes on meanwhile, and its result comes with the connection."""

    def seem_waiting(route):  # however fast it was
        answer = route.fetch()
        news = {"state": "waiting", "version": -1, "result": None}
        route.fulfill(response=answer, json=answer.json() | news)

    before = user.page.evaluate("() => inpaint.editor.results.size")
    user.press("r")
    user.drag((270, 140), (330, 180))
    user.page.route("**/fill", seem_waiting)
    user.page.route("**/api/jobs/**", lambda route: route.abort())
    user.press("Control+Enter")
    expect(user.page.get_by_role("alert")).to_contain_text("connection to inpaint is lost")
    assert user.count == 60 * 40
    assert user.page.evaluate("() => inpaint.editor.results.size") == before
    user.page.unroute("**/api/jobs/**")
    user.until(f"inpaint.editor.results.size > {before} && !inpaint.busy")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(browser, address, scheme):
    context = browser.new_context(
        viewport={"width": 375, "height": 740}, has_touch=True, color_scheme=scheme
    )
    user = User(context.new_page()).open(address)
    assert user.page.evaluate("() => document.documentElement.scrollWidth") <= 375
    expect(user.page.get_by_role("button", name="Fill")).to_be_in_viewport()
    user.press("b")
    user.page.touchscreen.tap(*user.place(200, 200))
    assert user.count > 10
    context.close()
