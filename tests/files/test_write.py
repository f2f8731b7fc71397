"""Files appear whole or not at all; what killed processes left goes, and nothing else does."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from inpaint_cli.errors import InpaintError
from inpaint_cli.files.write import atomic_path, check_free, sweep_folder

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions, links and locks")


def write(path: Path, text: str = "new", **options: bool) -> None:
    with atomic_path(path, **options) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_whatever_goes_wrong_the_file_stays_as_it_was(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises((error, InpaintError)):
        fail()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o400])
def test_a_file_that_is_replaced_keeps_its_permissions(mode, tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix
def test_of_a_link_the_target_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("there/real.txt")
    write(tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there" / "real.txt").read_text() == "new"


@posix
def test_pipes_and_devices_are_no_files_to_replace(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/null")):
        with pytest.raises(InpaintError, match="is a device or a pipe, not a file"):
            check_free(path, overwrite=True)


@pytest.mark.parametrize("stem", ["x" * 251, "ä" * 125, "a\nb", "\N{LINE SEPARATOR}", ".hidden"])
def test_names_of_any_length_and_kind_can_be_written(stem, tmp_path):
    path = tmp_path / f"{stem}.png"
    write(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@posix
def test_only_what_a_dead_process_left_is_removed(tmp_path):
    """Not other people's hidden files, nor what a living process is writing."""
    others = [".cat-20240101.png", ".a.inpaint-2024.png", ".a.inpaint-ABCDEF01.png", "a.png"]
    left = [".a.inpaint-0123abcd.png", ".inpaint-0123abcd", ".weights.inpaint-00000000.safetensors"]
    for name in [*others, *left]:
        (tmp_path / name).touch()
    (tmp_path / ".d.inpaint-0123abcd").mkdir()
    code = (
        "import sys, time; from pathlib import Path; from inpaint_cli.files.write import *\n"
        "with atomic_path(Path(sys.argv[1])) as t: print(t.name, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "alive.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        writing = process.stdout.readline().strip()
        sweep_folder(tmp_path)
        kept = {p.name for p in tmp_path.iterdir()}
        process.kill()
        process.wait()
    # a temporary name has something before the marker
    assert kept == {*others, ".inpaint-0123abcd", ".d.inpaint-0123abcd", writing}
    write(tmp_path / "next.png")
    sweep_folder(tmp_path)
    assert writing not in {p.name for p in tmp_path.iterdir()}
