"""The server of the page: its API, and who is let in."""

import asyncio
import errno
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pydantic import Field

import inpaint_cli
from inpaint_cli.api import Finder
from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError
from inpaint_cli.web.app import make_app, write_upload
from inpaint_cli.web.bench import Bench, file_fields, refuse_paths
from inpaint_cli.web.guard import Guard, is_own_host
from inpaint_cli.web.serve import open_socket
from inpaint_cli.web.session import Session, check_name, find_photos
from inpaint_cli.web.squares import RECORD, SIDE, pack_mask, unpack_squares
from inpaint_cli.web.worker import Worker, run_method

httpx = pytest.importorskip("httpx")
testclient = pytest.importorskip("starlette.testclient")
ClientDisconnect = pytest.importorskip("starlette.requests").ClientDisconnect

TAB = "0123456789abcdef"
HOME = "http://127.0.0.1:8467"
SHAPE = (600, 700)  # more than one square


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of photos, with a spot on the first."""
    folder = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = np.stack([rows // 4, columns // 4, 90 + 0 * rows], -1).astype(np.uint8)
    pixels[100:110, 500:520] = 255
    Image.fromarray(pixels).save(folder / "a.png", dpi=(72, 72))
    Image.fromarray(pixels).save(folder / "b.jpg", quality=95)
    (folder / "no.png").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def session(place, tmp_path_factory):
    return Session(tmp_path_factory.mktemp("session"), place)


@pytest.fixture(scope="module")
def page(session):
    """A client that knows the token: addresses are those that the page itself uses."""
    app = Guard(make_app(session), token="token", host="127.0.0.1", limit=2**22)
    with testclient.TestClient(app, base_url=f"{HOME}/token") as client:
        yield client


def spot():
    mask = np.zeros(SHAPE, np.bool_)
    mask[98:112, 498:522] = True
    return mask


def draw(page, photo="0", mask=None):
    page.get(f"api/photos/{photo}")
    squares = all_squares(spot() if mask is None else mask)
    assert page.put(f"api/photos/{photo}/masks/{TAB}", content=squares).status_code == 200


def all_squares(mask):
    """The squares of a mask, those without hole too, as the page sends them after an undo."""
    records = np.frombuffer(pack_mask(np.ones_like(mask)), RECORD).copy()
    for record in records:
        top, left = record["row"] * SIDE, record["column"] * SIDE
        part = np.zeros((SIDE, SIDE), np.bool_)
        inside = mask[top : top + SIDE, left : left + SIDE]
        part[: inside.shape[0], : inside.shape[1]] = inside
        record["bits"] = np.packbits(part, axis=1)
    return records.tobytes()


def fill(page, photo="0", **options):
    """Start a fill with `options`, and wait for its end."""
    sent = {"tab": TAB, "model": "telea", **options}
    answer = page.post(f"api/photos/{photo}/fill", json=sent)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    while job["state"] in ("waiting", "running"):
        job = page.get(f"api/jobs/{job['id']}", params={"seen": job["version"]}).json()
    return job


def test_squares_come_back_as_they_went():
    mask = np.random.default_rng(0).random((SIDE + 7, 2 * SIDE + 3)) > 0.5
    again = np.zeros_like(mask)
    unpack_squares(pack_mask(mask), again)
    assert np.array_equal(mask, again)
    mask[:, SIDE:] = False
    assert len(pack_mask(mask)) == 2 * RECORD.itemsize
    with pytest.raises(InpaintError, match="cut off"):
        unpack_squares(b"1234", again)
    with pytest.raises(InpaintError, match="beyond"):
        unpack_squares(pack_mask(np.ones((SIDE, 4 * SIDE), np.bool_)), again)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/token/api/state", {}, 200),
        ("/token/api/state", {"host": "localhost:8467", "origin": "http://localhost:8467"}, 200),
        ("/api/state", {}, 403),
        ("/tokem/api/state", {}, 403),
        ("/t%C3%B6ken/", {}, 403),
        ("/", {}, 403),
        ("/static/page.js", {}, 403),
        ("/token/api/state", {"host": "evil.example"}, 403),
        ("/token/api/state", {"origin": "http://evil.example"}, 403),
        ("/token/api/state", {"origin": "null"}, 403),
        ("/token/static/../../app.py", {}, 403),
        ("/token/static/%2e%2e/app.py", {}, 404),
        ("/token/api/nothing", {}, 404),
        ("/token/api/photos/7", {}, 404),
        ("/token/api/photos/..", {}, 403),
    ],
)
def test_only_the_page_itself_comes_in(page, path, headers, status):
    answer = page.get(f"{HOME}{path}", headers=headers)
    assert answer.status_code == status
    assert status == 200 or set(answer.json()) == {"error"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_server_for_other_machines_answers_to_addresses_but_not_to_any_name():
    assert is_own_host("192.168.0.7:8467", "0.0.0.0")
    assert is_own_host("[fe80::1]:8467", "::")
    assert not is_own_host("evil.example:8467", "0.0.0.0")
    assert not is_own_host("192.168.0.7:8467", "127.0.0.1")
    assert not is_own_host("", "127.0.0.1")


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_the_limit_is_refused(page, chunked):
    body = b"0" * (2**22 + 1)
    content = iter([body[: 2**21]] * 3) if chunked else body
    answer = page.post("api/photos", content=content)
    assert answer.status_code == 413
    assert "choose a smaller file" in answer.json()["error"]


def test_a_photo_is_shown_pixel_by_pixel(page, place):
    facts = page.get("api/photos/0").json()
    assert (facts["width"], facts["height"], facts["format"]) == (700, 600, "PNG")
    query = {"box": "480,90,60,40", "size": "60,40"}
    answer = page.get("api/photos/0/view/photo", params=query)
    with Image.open(place / "a.png") as photo:
        crop = np.asarray(photo)[90:130, 480:540]
    assert np.array_equal(read_png(answer.content), crop)


def read_png(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    "query",
    [
        {"box": "0,0,701,10", "size": "10,10"},
        {"box": "0,0,10,10", "size": "9999,9999"},
        {"box": "0,0,0,10", "size": "10,10"},
        {"box": "-1,0,5,10", "size": "10,10"},
        {"box": "1,2,3", "size": "10,10"},
        {},
    ],
)
def test_nothing_but_the_photo_is_shown(page, query):
    page.get("api/photos/0")
    assert page.get("api/photos/0/view/photo", params=query).status_code == 422


def test_fill_and_save_change_nothing_outside_the_hole(page, place):
    draw(page)
    job = fill(page, grow=2)
    assert job["state"] == "done", job["error"]
    result = job["result"]
    assert (result["model"], result["options"]["grow"]) == ("telea", 2)
    assert job["done"] == job["total"] == 1
    saved = page.post(
        f"api/photos/0/results/{result['id']}/save", json={"name": "a.filled.png", "mask": True}
    ).json()
    with Image.open(place / "a.png") as photo, Image.open(saved["output"]) as filled:
        before, after = np.asarray(photo), np.asarray(filled)
        assert filled.info["dpi"] == photo.info["dpi"]
    changed = (before != after).any(-1)
    assert 100 < changed.sum() < 30 * 20
    assert not changed[:90].any()
    assert "0 of" in saved["notes"][-1]
    assert f"--mask {place / 'a_mask.png'} --model telea --grow 2" in saved["commands"][0]
    with Image.open(place / "a_mask.png") as mask:
        assert np.array_equal(np.asarray(mask) == 255, spot())
    again = page.post(f"api/photos/0/results/{result['id']}/save", json={"name": "a.filled.png"})
    assert again.status_code == 409
    assert "exists already" in again.json()["error"]


def test_the_command_that_is_shown_makes_the_same_file(page, place):
    draw(page, "1")
    result = fill(page, "1", feather=2)["result"]
    saved = page.post(
        f"api/photos/1/results/{result['id']}/save", json={"name": "b.filled.jpg", "mask": True}
    ).json()
    data = (place / "b.filled.jpg").read_bytes()
    words = shlex.split(saved["commands"][0])
    assert words[:2] == ["inpaint", "fill"]
    done = CliRunner().invoke(main, [*words[1:], "--overwrite"])
    assert done.exit_code == 0, done.output
    assert (place / "b.filled.jpg").read_bytes() == data
    page_file = page.get(f"api/photos/1/results/{result['id']}/picture")
    assert page_file.content == data
    assert page_file.headers["content-type"] == "image/jpeg"


def test_a_fill_on_top_of_a_result_keeps_both(page):
    draw(page)
    first = fill(page)["result"]
    second_hole = np.zeros(SHAPE, np.bool_)
    second_hole[300:310, 20:40] = True
    draw(page, mask=second_hole)
    second = fill(page, base=first["id"])["result"]
    assert second["base"] == first["id"]
    view = {"box": "480,90,60,40", "size": "60,40"}
    shown = [
        page.get(f"api/photos/0/view/{version}", params=view).content
        for version in ("photo", first["id"], second["id"])
    ]
    assert shown[0] != shown[1] == shown[2]
    again = page.get(f"api/photos/0/results/{first['id']}/mask").content
    mask = np.zeros(SHAPE, np.bool_)
    unpack_squares(again, mask)
    assert np.array_equal(mask, spot())
    listed = [result["id"] for result in page.get("api/photos/0").json()["results"]]
    assert listed[-2:] == [first["id"], second["id"]]


def test_tabs_draw_masks_of_their_own_which_stay(page):
    draw(page)
    other = TAB[::-1]
    assert page.get(f"api/photos/0/masks/{other}").content == b""
    assert page.get(f"api/photos/0/masks/{TAB}").content == pack_mask(spot())
    assert page.get("api/photos/0/masks/..%2f..%2fetc").status_code in (404, 422)
    grown = np.zeros(SHAPE, np.bool_)
    unpack_squares(page.get(f"api/photos/0/masks/{TAB}/grown?grow=3").content, grown)
    assert grown[95, 510]
    assert not grown[94, 510]


def test_a_mask_file_comes_back_as_squares(page, tmp_path):
    page.get("api/photos/0")
    path = tmp_path / "half.png"
    Image.fromarray(spot()[::2, ::2]).save(path)
    answer = page.post("api/photos/0/load-mask?name=half.png", content=path.read_bytes())
    mask = np.zeros(SHAPE, np.bool_)
    unpack_squares(answer.content, mask)
    assert np.array_equal(mask, spot())
    assert "resized to 700x600" in json.loads(answer.headers["inpaint-notes"])[-1]
    Image.new("L", (10, 90)).save(path)
    answer = page.post("api/photos/0/load-mask?name=thin.png", content=path.read_bytes())
    assert "thin.png is 10x90" in answer.json()["error"]
    answer = page.post("api/photos/0/load-mask?source=alpha")
    assert "no transparency" in answer.json()["error"]
    picture = page.get(f"api/photos/0/masks/{TAB}/picture")
    assert read_png(picture.content).shape == SHAPE


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "telae"}, "did you mean 'telea'"),
        ({"model": "/etc/passwd"}, "model: "),
        ({"grow": "wide"}, "grow: "),
        ({"window": 3}, "window: "),
        ({"weights": "/etc/passwd"}, "weights: "),
        ({"base": "nothing"}, "no such result"),
        ({"device": "tpu"}, "no device is called"),
        ({"tab": "../x"}, "no proper id"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(page, options, sentence):
    draw(page)
    answer = page.post("api/photos/0/fill", json={"tab": TAB, "model": "telea", **options})
    if answer.status_code == 202:
        job = answer.json()
        while job["state"] in ("waiting", "running"):
            job = page.get(f"api/jobs/{job['id']}?seen={job['version']}").json()
        assert sentence in job["error"]
    else:
        assert answer.status_code == 422
        assert sentence in answer.json()["error"]


def test_a_photo_that_is_none_is_said_and_not_kept(page):
    before = page.get("api/state").json()["photos"]
    answer = page.post("api/photos?name=../../x.png", content=b"nothing")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("x.png is not a picture")
    assert page.get("api/state").json()["photos"] == before
    assert page.get("api/photos/2").status_code == 422, "no.png is not a photo"


def test_a_photo_that_was_sent_is_filled_and_downloaded(page, place):
    sent = page.post("api/photos?name=../my.png", content=(place / "a.png").read_bytes()).json()
    assert (sent["name"], sent["given"]) == ("my.png", False)
    draw(page, sent["id"])
    result = fill(page, sent["id"])["result"]
    address = f"api/photos/{sent['id']}/results/{result['id']}"
    refused = page.post(f"{address}/save", json={"name": "my.filled.png"})
    assert "download the result instead" in refused.json()["error"]
    assert read_png(page.get(f"{address}/picture").content).shape == (*SHAPE, 3)


@pytest.mark.parametrize("name", ["", "../a.png", "/a.png", ".a.png", "a", "a.exe", "x\\a.png"])
def test_only_plain_names_of_pictures_are_written(name):
    with pytest.raises(InpaintError):
        check_name(name)


def test_the_photo_itself_is_never_replaced(page, place):
    draw(page)
    result = fill(page)["result"]
    answer = page.post(
        f"api/photos/0/results/{result['id']}/save", json={"name": "a.png", "overwrite": True}
    )
    assert "is the photo itself" in answer.json()["error"]


def test_a_finder_looks_at_what_is_shown(page, place):
    draw(page)
    kinds = {row["kind"]: row for row in page.get("api/finders").json()}
    assert kinds["color"]["settings"]["value"] == "required"
    query = {"kind": "color", "settings": json.dumps({"value": "white", "grow": 0})}
    found = page.post("api/photos/0/find", params=query)
    mask = np.zeros(SHAPE, np.bool_)
    unpack_squares(found.content, mask)
    assert mask.sum() == 10 * 20
    assert "'color' found" in json.loads(found.headers["inpaint-notes"])[0]
    filled = page.post("api/photos/0/find", params=query | {"version": fill(page)["result"]["id"]})
    assert filled.content == b"", "what was filled is not found again"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"kind": "colour"}, "did you mean 'color'"),
        ({"kind": "color:value=white"}, "settings apart"),
        ({"kind": "color", "settings": "[1]"}, "not an object"),
        ({"kind": "color", "settings": '{"value": "no colour"}'}, "value"),
        ({"kind": "color", "settings": '{"value": "white", "other": 1}'}, "other"),
    ],
)
def test_a_finder_that_is_asked_wrongly_says_so(page, query, sentence):
    page.get("api/photos/0")
    answer = page.post("api/photos/0/find", params=query)
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]


def test_a_finder_opens_no_file_that_a_client_names(page, place, tmp_path, monkeypatch):
    class Beside(Finder):
        """What is unlike another picture."""

        other: Path | None = Field(default=None, description="The other picture.")

        def find(self, rgb, name):
            raise AssertionError("a file was opened")

    for path in ("inpaint_cli.registry.load_plugin", "inpaint_cli.web.bench.load_plugin"):
        monkeypatch.setattr(path, lambda kind, name: Beside)
    assert file_fields("beside") == ["other"]
    upload = tmp_path / "upload"
    refuse_paths(Beside(other=upload), upload)
    with pytest.raises(InpaintError, match="not opened"):
        refuse_paths(Beside(other=Path("/etc/passwd")), upload)


def test_a_script_fills_what_a_finder_finds(page, place):
    files = {"photo": ("a.png", (place / "a.png").read_bytes())}
    fields = {"model": "telea", "find": "color:value=white,grow=0"}
    answer = page.post("api/fill", files=files, data=fields)
    assert answer.status_code == 200, answer.text
    assert read_png(answer.content)[105, 510].max() < 255


def test_a_script_widens_the_canvas(page, place):
    photo = (place / "a.png").read_bytes()
    files, fields = {"photo": ("a.png", photo)}, {"model": "telea", "extend": "0,0,5,10%"}
    answer = page.post("api/fill", files=files, data=fields)
    assert answer.status_code == 200, answer.text
    before, after = read_png(photo), read_png(answer.content)
    height, width = before.shape[:2]
    assert after.shape[:2] == (height + -(-height // 10), width + 5)
    assert np.array_equal(after[:height, :width], before)
    answer = page.post("api/fill", files=files, data=fields | {"extend": "1,2"})
    assert answer.status_code == 422
    assert "left,top,right,bottom" in answer.json()["error"]


def test_a_script_fills_in_one_request(page, place, tmp_path):
    Image.fromarray(spot()).save(tmp_path / "m.png")
    photo = (place / "b.jpg").read_bytes()
    files = {"photo": ("b.jpg", photo), "mask": ("m.png", (tmp_path / "m.png").read_bytes())}
    answer = page.post("api/fill", files=files, data={"model": "telea", "grow": "2"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert any("telea" in note for note in json.loads(answer.headers["inpaint-notes"]))
    expected = tmp_path / "expected.jpg"
    filled = inpaint_cli.fill(place / "b.jpg", tmp_path / "m.png", model="telea", grow=2)
    filled.save(expected)
    assert answer.content == expected.read_bytes()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "nothing says where the hole is"),
        ({"regions": ["1,2,3"]}, "regions"),
        ({"mask": "/etc/passwd"}, "mask: "),
        ({"model": "nothing", "regions": "1,2,3,4"}, "no model named"),
        ({"nonsense": "1"}, "nonsense: "),
    ],
)
def test_a_script_that_is_wrong_gets_a_sentence(page, place, fields, sentence):
    files = {"photo": ("a.png", (place / "a.png").read_bytes())}
    answer = page.post("api/fill", files=files, data=fields)
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]
    assert page.post("api/fill", data={"model": "telea"}).status_code == 422
    assert page.post("api/fill", files={"photo": b"x", "other": b"y"}).status_code == 422


def test_a_cancelled_fill_leaves_everything_as_it_was(page, session):
    draw(page)
    before = page.get("api/photos/0").json()["results"]
    with session.worker.turn:  # nothing runs while this thread has the turn
        waiting = page.post("api/photos/0/fill", json={"tab": TAB}).json()
        assert page.delete(f"api/jobs/{waiting['id']}").json()["state"] == "cancelled"
    large = np.ones(SHAPE, np.bool_)
    large[:40] = False
    draw(page, mask=large)
    running = page.post("api/photos/0/fill", json={"tab": TAB, "model": "biharmonic"}).json()
    while page.get(f"api/jobs/{running['id']}").json()["state"] == "waiting":
        time.sleep(0.01)
    assert page.delete(f"api/jobs/{running['id']}").json()["state"] == "cancelled"
    assert page.get("api/photos/0").json()["results"] == before
    assert page.get(f"api/photos/0/masks/{TAB}").content == pack_mask(large)
    draw(page)
    assert fill(page)["state"] == "done"


def test_a_crash_of_the_worker_is_one_sentence(page, session):
    draw(page)
    session.worker.call("wait")
    with session.worker.turn:
        job = page.post("api/photos/0/fill", json={"tab": TAB, "model": "biharmonic"}).json()
    crash = threading.Thread(target=session.worker.kill)
    while (state := page.get(f"api/jobs/{job['id']}").json()["state"]) == "waiting":
        time.sleep(0.01)
    crash.start()
    crash.join()
    job = page.get(f"api/jobs/{job['id']}?seen=100").json()
    assert state == "running"
    assert (job["state"], "mask is kept" in job["error"]) in [("failed", True), ("done", False)]
    assert fill(page)["state"] == "done"


class NearWorker(Worker):
    """A worker without a process of its own, whose files a test can make fail."""

    def __init__(self):
        super().__init__()
        self.bench = Bench(lambda **event: None)

    def call(self, method, report=None, **arguments):
        kind, value = run_method(self.bench, method, arguments)
        if kind == "error":
            raise value
        return value


def test_a_full_disk_on_save_is_one_sentence_and_nothing_is_lost(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "session").mkdir()
    Image.new("RGB", (20, 20), "gray").save(folder / "p.png")
    session = Session(tmp_path / "session", folder)
    session.worker = NearWorker()
    app = Guard(make_app(session), token="token", host="127.0.0.1", limit=2**22)
    mask = np.zeros((20, 20), np.bool_)
    mask[5:9, 5:9] = True
    whole = Path.write_bytes

    def write_some(path, data):
        if path.parent != folder:
            return whole(path, data)
        whole(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with testclient.TestClient(app, base_url=f"{HOME}/token") as page:
        draw(page, mask=mask)
        result = fill(page)["result"]["id"]
        address = f"api/photos/0/results/{result}/save"
        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", write_some)
            answer = page.post(address, json={"name": "q.png", "mask": True})
        assert answer.status_code == 422
        assert answer.json()["error"].endswith("q.png cannot be written: No space left on device")
        assert [path.name for path in folder.iterdir()] == ["p.png"], "a part of a file stayed"
        assert page.get(f"api/photos/0/masks/{TAB}").content == pack_mask(mask)
        assert [each["id"] for each in page.get("api/photos/0").json()["results"]] == [result]
        assert page.post(address, json={"name": "q.png"}).status_code == 200
        assert read_png((folder / "q.png").read_bytes()).shape == (20, 20, 3)


@pytest.mark.parametrize("end", ["disconnected", "full"])
def test_nothing_stays_of_an_upload_that_breaks_off(tmp_path, end):
    async def pieces():
        yield b"some"
        raise ClientDisconnect if end == "disconnected" else OSError(errno.ENOSPC, "full")

    with pytest.raises((ClientDisconnect, OSError)):
        asyncio.run(write_upload(tmp_path / "upload", pieces()))
    assert not [*tmp_path.iterdir()]


def test_a_photo_that_changed_on_disk_is_not_filled(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "p.png")
    (tmp_path / "session").mkdir()
    session = Session(tmp_path / "session", tmp_path / "p.png")
    app = Guard(make_app(session), token="token", host="127.0.0.1", limit=2**22)
    with testclient.TestClient(app, base_url=f"{HOME}/token") as page:
        mask = np.zeros((20, 20), np.bool_)
        mask[5:9, 5:9] = True
        draw(page, mask=mask)
        Image.new("RGB", (22, 20)).save(tmp_path / "p.png")
        assert "has changed since it was opened" in fill(page)["error"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_leaves_nothing_behind(place, tmp_path, end):
    command = [sys.executable, "-m", "inpaint_cli", "paint", "--no-browser", str(place / "a.png")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        client = httpx.Client(timeout=60)  # the machine may be busy
        state = client.get(f"{address}api/state").json()
        assert [photo["name"] for photo in state["photos"]] == [str(place / "a.png")]
        assert "inpaint" in client.get(address).text
        assert client.get(address.rsplit("/", 2)[0] + "/").status_code == 403
        client.get(f"{address}api/photos/0").raise_for_status()
        client.close()
        assert [*tmp_path.iterdir()]
        process.send_signal(end)
        assert process.wait(60) == 0
    finally:
        process.kill()
        _, errors = process.communicate()
    assert errors == ""
    assert [*tmp_path.iterdir()] == []


def test_transparency_is_filled_opaque_and_needs_no_mask_file(tmp_path):
    pixels = np.full((30, 40, 4), 90, np.uint8)
    pixels[..., 3] = 255
    pixels[10:20, 10:20, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "p.png")
    (tmp_path / "session").mkdir()
    session = Session(tmp_path / "session", tmp_path / "p.png", Path("alpha"))
    app = Guard(make_app(session), token="token", host="127.0.0.1", limit=2**22)
    with testclient.TestClient(app, base_url=f"{HOME}/token") as page:
        assert page.get("api/photos/0").json()["transparent"]
        job = fill(page)
        assert job["state"] == "done", job["error"]
        result = job["result"]
        saved = page.post(
            f"api/photos/0/results/{result['id']}/save", json={"name": "q.png", "mask": True}
        ).json()
    assert "--mask alpha" in saved["commands"][0]
    assert saved["masks"] == []
    with Image.open(tmp_path / "q.png") as filled:
        assert np.asarray(filled)[..., 3].min() == 255


def test_a_port_that_is_taken_is_said_and_the_usual_one_gives_way():
    with open_socket("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with pytest.raises(InpaintError, match=rf"127\.0\.0\.1:{port} cannot .* \([^(]+\); give"):
            open_socket("127.0.0.1", port)
    with open_socket("127.0.0.1", None) as first, open_socket("127.0.0.1", None) as second:
        assert first.getsockname() != second.getsockname()
    with pytest.raises(InpaintError, match="give another --port or --host"):
        open_socket("192.0.2.1", None)


def test_a_folder_shows_its_photos_and_not_what_was_made_of_them(tmp_path):
    for name in ("a.png", "a.filled.png", "a_mask.png", "sub/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [pair.name for pair in find_photos(tmp_path, None)] == ["a.png", "sub/b.jpg"]
    pairs = find_photos(tmp_path, tmp_path)
    assert [(pair.name, pair.mask and pair.mask.name) for pair in pairs][-1] == ("sub/b.jpg", None)
    assert find_photos(None, None) == []
