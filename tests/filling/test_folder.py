"""Folder jobs: every photo once, nothing lost, nothing torn, whatever happens in between."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data
from tqdm import tqdm

from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError
from inpaint_cli.filling import folder, ledger
from inpaint_cli.filling.options import HoleOptions, RunOptions
from inpaint_cli.models.choose import ModelRef
from inpaint_cli.runtime.workers import run_in_workers

COUNT = 12
NAMES = [f"{'ab'[n % 2]}/{n:02}.{('png', 'jpg')[n % 3 == 2]}" for n in range(COUNT)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Folders `photos` and `masks` of a dozen photos in two subfolders."""
    monkeypatch.chdir(tmp_path)
    coffee = data.coffee()
    for n, name in enumerate(NAMES):
        photo, mask = tmp_path / "photos" / name, tmp_path / "masks" / name
        for path in (photo, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        top, left = 20 * n, 30 * n
        Image.fromarray(coffee[top : top + 48, left : left + 56]).save(photo, quality=90)
        hole = Image.new("L", (56, 48))
        hole.paste(255, (10 + n, 8, 30 + n, 30))
        hole.save(mask.with_suffix(".png"))
    return tmp_path


def infer(*args: str, masks: str = "masks", output: str = "out"):
    given = ["infer", "photos", "--masks", masks, "-o", output, "--model", "telea", *args]
    return CliRunner().invoke(main, given, catch_exceptions=False)


def job(root: Path, output: str = "out") -> folder.FolderJob:
    options = HoleOptions(), RunOptions(), ModelRef("telea")
    return folder.FolderJob(root / "photos", root / "masks", root / output, *options)


def run(files: Path, notify=lambda sentence: None) -> folder.FolderReport:
    report = folder.run_job(job(files), workers=1, retry_failed=False, notify=notify)
    assert report is not None
    return report


def tree(root: Path) -> dict[str, bytes]:
    """The contents of all files under a folder but its ledger, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ledger.LEDGER
    }


@pytest.fixture
def whole(files):
    """The outputs of a job that nothing disturbed."""
    result = infer(output="whole")
    assert result.exit_code == 0, result.stderr
    return tree(files / "whole")


def test_the_tree_is_kept_and_what_is_visible_stays(files, whole):
    assert sorted(whole) == sorted(NAMES)
    for name in NAMES:
        if name.endswith("png"):
            before, after = (np.array(Image.open(files / d / name)) for d in ("photos", "whole"))
            hole = np.array(Image.open(files / "masks" / name)) > 127
            assert np.array_equal(before[~hole], after[~hole])
            assert not np.array_equal(before[hole], after[hole])


def test_a_second_run_does_nothing_and_loads_no_torch(files, whole):
    before = (files / "whole" / ledger.LEDGER).read_bytes()
    code = """if True:
        import sys
        from inpaint_cli.cli import main
        main(sys.argv[1:], standalone_mode=False)
        assert not {"torch", "accelerate", "cv2", "pydantic"} & {*sys.modules}
    """
    args = ["infer", "photos", "--masks", "masks", "-o", "whole", "--model", "telea", "--json"]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, check=True)
    report = json.loads(done.stdout)
    assert (report["filled"], report["kept"], report["failed"]) == (0, COUNT, {})
    assert (files / "whole" / ledger.LEDGER).read_bytes() == before


def test_only_what_changed_is_filled_again(files, whole):
    out = files / "whole"
    (out / NAMES[0]).unlink()
    with (files / "photos" / NAMES[1]).open("ab") as file:
        file.write(b"\0")
    changed = Image.fromarray(np.eye(48, 56, dtype=np.uint8) * 255)
    changed.save((files / "masks" / NAMES[2]).with_suffix(".png"))
    os.utime(files / "photos" / NAMES[3], ns=(1, 1))  # touched, but the same
    report = json.loads(infer("--json", output="whole").stdout)
    assert (report["filled"], report["kept"]) == (3, COUNT - 3)
    assert tree(out)[NAMES[0]] == whole[NAMES[0]]
    assert (
        infer("--grow", "1", output="whole").stdout == f"whole: {COUNT} filled, 0 kept, 0 failed\n"
    )
    assert (
        infer("--grow", "1", output="whole").stdout == f"whole: 0 filled, {COUNT} kept, 0 failed\n"
    )


def test_a_dry_run_shows_pairs_and_writes_nothing(files):
    (files / "photos" / "alone.png").touch()
    (files / "masks" / "unused.png").touch()
    result = infer("--dry-run")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["photo", "mask", "in", "out"]
    assert lines[1].split() == ["photos/a/00.png", "masks/a/00.png", "new"]
    assert len(lines) == 1 + COUNT
    assert "photos/alone.png has no mask" in result.stderr
    assert "masks/unused.png is the mask of no photo" in result.stderr
    assert not (files / "out").exists()
    shown = json.loads(infer("--dry-run", "--json").stdout)
    assert [*shown["failed"]] == ["alone.png"]
    assert len(shown["pairs"]) == COUNT


def test_a_bad_photo_stops_nothing_and_is_remembered(files, whole):
    bad = files / "photos" / NAMES[4]
    bad.write_bytes(bad.read_bytes()[:300])
    result = infer()
    assert result.exit_code == 1
    assert result.stdout == f"out: {COUNT - 1} filled, 0 kept, 1 failed\n"
    assert NAMES[4] in result.stderr
    assert {*tree(files / "out")} == {*whole} - {NAMES[4]}
    again = infer()  # not tried, but told
    assert again.exit_code == 1
    assert again.stdout == f"out: 0 filled, {COUNT - 1} kept, 1 failed\n"
    assert NAMES[4] in again.stderr
    lines = (files / "out" / ledger.LEDGER).read_bytes().count(b"\n")
    assert infer("--retry-failed").exit_code == 1
    assert (files / "out" / ledger.LEDGER).read_bytes().count(b"\n") == lines + 1
    bad.write_bytes((files / "photos" / NAMES[0]).read_bytes())
    assert infer().stdout == f"out: 1 filled, {COUNT - 1} kept, 0 failed\n"


def test_what_was_made_before_a_photo_broke_may_be_replaced_when_it_is_mended(files, whole):
    photo, out = files / "photos" / NAMES[0], files / "whole"
    good = photo.read_bytes()
    photo.write_bytes(good[:200])
    assert infer(output="whole").exit_code == 1
    assert tree(out) == whole
    photo.write_bytes((files / "photos" / NAMES[3]).read_bytes())
    assert infer(output="whole").stdout == f"whole: 1 filled, {COUNT - 1} kept, 0 failed\n"
    assert tree(out)[NAMES[0]] != whole[NAMES[0]]


def test_a_bug_is_one_failure_with_its_traceback_in_the_ledger(files, monkeypatch):
    real = folder.fill_photo

    def broken(model, photo, *args, **more):
        if photo.name.endswith(NAMES[3]):
            raise ZeroDivisionError("oh")
        return real(model, photo, *args, **more)

    monkeypatch.setattr(folder, "fill_photo", broken)
    result = infer()
    assert result.exit_code == 1
    assert "report it: ZeroDivisionError('oh')" in result.stderr
    entry = ledger.read_entries(files / "out")[NAMES[3]]
    assert "Traceback" in entry.notes[0]
    monkeypatch.undo()
    os.chdir(files)
    assert infer().stdout == f"out: 1 filled, {COUNT - 1} kept, 0 failed\n"


def forked(call) -> int:
    """Run `call` in a copy of this process; its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        pid = os.fork()
    if pid:
        return pid
    try:
        tqdm.set_lock(threading.RLock())  # killed, it must not hold one that its parent waits for
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (to the end of the process)
        call()
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_killed_at_any_moment_and_started_again_is_as_if_unbroken(files, whole):
    chance = random.Random(8)
    out = files / "out"
    kills = 0
    for _ in range(40):
        pid = forked(partial(run, files))
        time.sleep(chance.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills += 1
        if len(ledger.read_entries(out)) == COUNT:
            break
    assert kills > 1
    report = run(files)
    assert report is not None
    assert not report.failed
    assert tree(out) == whole
    assert {*ledger.read_entries(out)} == {*NAMES}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_workers_end_with_the_killed_program_and_the_next_run_cleans_up(files, whole):
    command = [sys.executable, "-m", "inpaint_cli", "infer", "photos", "--masks", "masks", "-o",
               "out", "--model", "telea", "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not ledger.read_entries(files / "out"):
        time.sleep(0.005)
    process.kill()
    process.wait()
    stray = (
        files / "out" / "a" / ".00.inpaint-abcd0123.png"
    )  # as one more worker might have left it
    kept = files / "out" / "a" / ".cat-20240101.png"
    stray.touch()
    kept.touch()
    result = infer()
    assert result.exit_code == 0, result.stderr
    assert not stray.exists()
    kept.unlink()
    assert tree(files / "out") == whole


def test_a_job_killed_between_photo_and_ledger_keeps_the_photo(files, whole):
    out = files / "out"
    infer()
    lines = (out / ledger.LEDGER).read_bytes().splitlines(keepends=True)
    (out / ledger.LEDGER).write_bytes(b"".join(lines[:-2]) + lines[-2][:-9])
    before = {name: (out / name).stat().st_mtime_ns for name in NAMES}
    assert infer().stdout == f"out: 2 filled, {COUNT - 2} kept, 0 failed\n"
    assert before == {name: (out / name).stat().st_mtime_ns for name in NAMES}
    assert infer().stdout == f"out: 0 filled, {COUNT} kept, 0 failed\n"


def test_what_is_not_the_jobs_is_not_replaced(files, whole):
    out = files / "out"
    out.mkdir()
    (out / "a").mkdir()
    (out / NAMES[0]).write_bytes(b"precious")
    result = infer()
    assert result.exit_code == 1
    assert "exists already and this job did not create it" in result.stderr
    assert (out / NAMES[0]).read_bytes() == b"precious"
    result = infer("--overwrite")
    assert result.stdout == f"out: {1} filled, {COUNT - 1} kept, 0 failed\n"
    assert tree(out) == whole
    (out / NAMES[1]).write_bytes(b"retouched")  # by hand, since
    result = infer()
    assert result.exit_code == 1
    assert (out / NAMES[1]).read_bytes() == b"retouched"


def test_a_damaged_ledger_is_kept_aside_and_nothing_is_lost(files, whole):
    out = files / "out"
    infer()
    lines = (out / ledger.LEDGER).read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], b"\xff\x00garbage\n", b'{"name": 3}\n', b"[]\n", *lines[3:]])
    (out / ledger.LEDGER).write_bytes(damaged)
    result = infer()
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"out: 2 filled, {COUNT - 2} kept, 0 failed\n"
    assert "3 damaged lines" in result.stderr
    assert (out / "ledger.damaged-1.jsonl").read_bytes() == damaged
    (out / "ledger.damaged-1.jsonl").unlink()
    assert tree(out) == whole
    assert infer().stdout == f"out: 0 filled, {COUNT} kept, 0 failed\n"


def test_a_full_disk_stops_the_job_in_a_sentence_and_nothing_is_lost(files, whole, monkeypatch):
    real, written = Path.write_bytes, []

    def write_bytes(path, content):
        if path.is_relative_to(files / "out") or str(path).startswith("out"):
            written.append(path)
            if len(written) > 3:
                real(path, content[:10])
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    result = infer()
    assert result.exit_code == 1
    assert result.stderr.count("No space left on device") == 1
    assert "run the same command again to resume" in result.stderr
    assert len(written) == 4  # it did not go on in vain
    assert tree(files / "out").keys() == {*NAMES[::2][:3]}
    monkeypatch.setattr(Path, "write_bytes", real)
    assert infer().stdout == f"out: {COUNT - 3} filled, 3 kept, 0 failed\n"
    assert tree(files / "out") == whole


def test_a_disk_too_full_for_the_ledger_stops_the_job_too(files, whole, monkeypatch):
    real, lines = os.write, []

    def write(handle, line):
        lines.append(line)
        return real(handle, line) if len(lines) < 4 else real(handle, line[:20])

    monkeypatch.setattr(ledger.os, "write", write)
    result = infer()
    assert result.exit_code == 1
    assert "ledger.jsonl cannot be written: No space left" in result.stderr
    monkeypatch.setattr(ledger.os, "write", real)
    assert infer().stdout == f"out: {COUNT - 3} filled, 3 kept, 0 failed\n"
    assert tree(files / "out") == whole
    assert not list((files / "out").glob("*damaged*"))


def test_a_subfolder_that_cannot_be_written_fails_its_photos_only(files):
    (files / "out").mkdir()
    (files / "out" / "b").touch()
    result = infer()
    assert result.exit_code == 1
    assert result.stdout == f"out: {COUNT // 2} filled, 0 kept, {COUNT // 2} failed\n"
    (files / "out" / "b").unlink()
    assert infer().exit_code == 0  # tried again unasked: the photos were not at fault


def test_inputs_are_never_outputs(files):
    before = tree(files)
    for output in ("photos", "masks", "photos/../photos", "photos/a/.."):
        result = infer(output=output)
        assert result.exit_code == 1
        assert "would overwrite an input" in result.stderr
    result = infer(output="photos/a/00.png")
    assert result.exit_code == 1
    assert "is a file" in result.stderr
    assert tree(files) == before


def test_outputs_inside_the_photos_are_not_read_again(files, whole):
    for _ in range(2):
        assert infer(output="photos/done").exit_code == 0
    assert tree(files / "photos" / "done") == whole


def test_an_output_folder_that_is_moved_away_stops_the_job(files, monkeypatch):
    """What would be written in two places is not called filled."""
    before = folder.attempt_item

    def moved(*args):
        if (out := files / "out").exists() and not (files / "away").exists():
            out.rename(files / "away")
        return before(*args)

    monkeypatch.setattr(folder, "attempt_item", moved)
    result = infer()
    assert result.exit_code == 1
    assert "out was moved or removed" in result.stderr


def test_a_photo_that_changes_under_the_same_size_and_time_is_filled_again(files):
    assert infer().exit_code == 0
    photo = files / "photos" / NAMES[0]
    status, pixels = photo.stat(), bytearray(photo.read_bytes())
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(files / "other.png")
    other = (files / "other.png").read_bytes()
    photo.write_bytes(other[: len(pixels)].ljust(len(pixels), b"\0"))
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = json.loads(infer("--json").stdout)
    assert again["kept"] == COUNT - 1


@pytest.mark.parametrize(
    "line",
    [b"[" * 200_000, b"0", b"{}", b'{"name": []}', b"\xff", b'{"name": "a/00.png", "photo": 0}'],
)
def test_a_damaged_line_of_the_ledger_is_kept_aside(files, line):
    assert infer().exit_code == 0
    with (files / "out" / ledger.LEDGER).open("ab") as file:
        file.write(line + b"\n")
    result = infer()
    assert result.exit_code == 0, result.stderr
    assert "had 1 damaged lines" in result.stderr or "1 damaged" in result.stderr


def test_two_jobs_do_not_write_into_one_folder(files):
    (files / "out").mkdir()
    with ledger.lock_folder(files / "out"):
        result = infer()
    assert result.exit_code == 1
    assert "another job is writing into out" in result.stderr


def test_one_mask_for_all_and_regions_without_any(files):
    result = infer("--card", masks="masks/a/00.png")
    assert result.exit_code == 0, result.stderr
    assert {*tree(files / "out")} == {n + end for n in NAMES for end in ("", ".card.json")}
    again = ["fill", "--from-card", "out/b/01.png.card.json", "-o", "again.png"]
    result = CliRunner().invoke(main, again, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    (files / "out" / "b" / "01.png.card.json").unlink()
    assert infer("--card", masks="masks/a/00.png").stdout.startswith("out: 1 filled")
    args = ["infer", "photos", "--region", "5,5,20,20", "-o", "regions", "--model", "telea"]
    assert CliRunner().invoke(main, args, catch_exceptions=False).exit_code == 0
    assert {*tree(files / "regions")} == {*NAMES}


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["photos", "-o", "out"], 2, "say where the hole is"),
        (["photos", "-o", "out", "--masks", "nowhere"], 2, "no file 'nowhere'"),
        (["nowhere", "-o", "out", "--masks", "masks"], 2, "does not exist"),
        (["empty", "-o", "out", "--masks", "masks"], 1, "no photo in empty"),
        (["photos", "-o", "out", "--masks", "empty"], 1, "has no mask"),
        (["photos", "-o", "out", "--masks", "masks", "--only", "x*"], 1, "no photo matches x*"),
        (["photos", "-o", "out", "--masks", "masks", "--model", "tela"], 1, "did you mean 'telea'"),
    ],
)
def test_bad_input_gets_a_sentence(files, args, code, sentence):
    (files / "empty").mkdir()
    result = CliRunner().invoke(main, ["infer", *args], catch_exceptions=False)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def fragile():
    def work(item: int) -> int:
        if item == 3:
            os._exit(7)
        return item * item

    return work


def refusing():
    raise InpaintError("no such model")


def test_a_process_that_dies_takes_only_its_item_with_it():
    results = dict(run_in_workers(fragile, range(8), 2))
    assert results == {n: None if n == 3 else n * n for n in range(8)}


def test_what_prevents_all_work_is_raised():
    for workers in (1, 2):
        with pytest.raises(InpaintError, match="no such model"):
            list(run_in_workers(refusing, range(3), workers))


COUNT_PROCESSES = """
import atexit, os, sys
def note():
    state = sys.modules.get("accelerate.state")
    if state and "RANK" in os.environ and state.PartialState._shared_state:
        one = state.PartialState()
        with open(f"rank-{one.process_index}", "w") as file:
            file.write(f"{one.process_index} of {one.num_processes}")
atexit.register(note)
"""


@pytest.mark.ddp
def test_two_launched_processes_fill_each_photo_once(files, whole):
    (files / "photos" / "bad.png").touch()
    (files / "masks" / "bad.png").touch()
    (files / "photos" / "alone.png").touch()
    (files / "sitecustomize.py").write_text(COUNT_PROCESSES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
              "2", "-m", "inpaint_cli", "infer", "photos", "--masks", "masks", "-o", "out",
              "--model", "telea", "--json"]  # fmt: skip
    done = subprocess.run(
        launch,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(files)},
    )
    ranks = sorted(path.read_text() for path in files.glob("rank-*"))
    assert ranks == ["0 of 2", "1 of 2"], done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert (report["filled"], report["kept"]) == (COUNT, 0)
    assert [*report["failed"]] == ["alone.png", "bad.png"]
    assert done.returncode == 1
    lines = (files / "out" / ledger.LEDGER).read_text().splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == sorted([*NAMES, "bad.png"])
    assert tree(files / "out") == whole
    assert infer().stdout == f"out: 0 filled, {COUNT} kept, 2 failed\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names must be UTF-8 there")
def test_a_name_that_is_not_utf_8_is_filled_and_remembered(files):
    os.rename(b"photos/b/01.png", b"photos/b/caf\xe9.png")
    os.rename(b"masks/b/01.png", b"masks/b/caf\xe9.png")
    assert infer("--card").exit_code == 0
    assert len(ledger.read_entries(files / "out")) == COUNT
    assert "12 kept" in infer("--card").stdout


def rewrite_masks(root: Path, change) -> None:
    for path in sorted((root / "masks").rglob("*.png")):
        hole = np.array(Image.open(path).convert("L")) > 0
        Image.fromarray(change(hole).astype(np.uint8)).save(path)


def test_masks_of_0_and_1_or_one_colour_are_filled_as_if_white(files, whole):
    for change in (lambda hole: hole, lambda hole: np.dstack([255 * hole, 0 * hole, 0 * hole])):
        rewrite_masks(files, change)
        result = infer()
        assert (result.exit_code, tree(files / "out")) == (0, whole)
        assert f"ledger.jsonl has notes on {COUNT} of the photos" in result.stderr


def test_photos_given_as_masks_fail(files):
    result = infer(masks="photos/a/00.png")
    assert result.exit_code == 1
    assert result.stdout == f"out: 0 filled, 0 kept, {COUNT - 1} failed\n"
    (files / "masks").rename(files / "aside")
    (files / "photos").rename(files / "masks")
    (files / "aside").rename(files / "photos")
    swapped = infer("--only", "*.png")
    assert swapped.exit_code == 1
    assert swapped.stdout == f"out: 0 filled, 0 kept, {COUNT} failed\n"
    assert "so no mask" in swapped.stderr
    assert not tree(files / "out")


def test_photos_without_a_hole_are_counted_apart_again_and_again(files):
    rewrite_masks(files, lambda hole: hole * hole[10, 11] * 255)
    empty = COUNT - 2
    for counts in (f"2 filled, 0 kept, 0 failed, {empty}", f"0 filled, 2 kept, 0 failed, {empty}"):
        result = infer()
        assert (result.exit_code, result.stdout) == (1, f"out: {counts} untouched\n")
        assert f"{empty} photos without a hole came back: a/02.jpg, " in result.stderr


def test_many_masks_without_a_photo_are_one_line(files):
    (files / "photos" / "b").rename(files / "aside")
    result = infer()
    assert result.exit_code == 0
    assert f"{COUNT // 2} masks belong to no photo: b/01.png, " in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_masks_may_stay_in_an_archive(files, whole):
    """The same fills as from the folder; a second run does nothing."""
    with ZipFile(files / "m.zip", "w") as archive:
        for mask in (files / "masks").rglob("*.png"):
            archive.write(mask, mask.relative_to(files / "masks"))
    done = infer(masks="m.zip", output="packed")
    assert done.exit_code == 0, done.output
    assert tree(files / "packed") == whole
    assert f"0 filled, {COUNT} kept" in infer(masks="m.zip", output="packed").output
