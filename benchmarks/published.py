"""Published models: ONNX files beside torch, a download beside curl, a long catalogue.

Networks have random weights of the default settings and fill a hole of a quarter of a square, by
our own export; both run in turn in one process on all cores. Their peaks are of processes that
load one and fill once. From the shell a square of 512 pixels is filled, in processor seconds. The
download is of 200 MB from a plain server on loopback, verified by SHA-256, which curl does not
do. The catalogue of 50 entries comes from a package of its own. With `--only` the
named sections are measured, and the others stay on the page as they are.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image
from startup import COMMAND, GROUP, OURS, measure
from table import held, paired, record_sections

from inpaint_cli.api.fillers import Filler
from inpaint_cli.cli import COMMANDS

SIDES = {"lama": (256, 512)}
MEGABYTES = 200
ROUNDS = 2  # of networks and of the shell
ENTRY = """
tidy-{n}:
  summary: A network of another package.
  licence: MIT
  trained_on: rooms
  files:
  - {{name: tidy-{n}.bin, url: "https://weights.invalid/tidy-{n}.bin", bytes: 7, sha256: {hash}}}
"""


def write_networks(folder: Path) -> None:
    """Write NAME.safetensors and NAME.onnx for each network, in a process that ends."""
    import torch

    from inpaint_cli import registry
    from inpaint_cli.models import export, weights

    for name in SIDES:
        plugin = registry.load_plugin("architectures", name)
        torch.manual_seed(0)
        file = folder / f"{name}.safetensors"
        weights.write_weights(file, name, plugin.settings(), plugin.build(plugin.settings()))
        export.export_onnx(file, folder / f"{name}.onnx", notes={})


def photo(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A random square, and the hole in its middle."""
    rgb = np.random.default_rng(0).random((side, side, 3), np.float32)
    hole = np.zeros((side, side), np.bool_)
    hole[side // 4 : -side // 4, side // 4 : -side // 4] = True
    rgb[hole] = 0
    return rgb, hole


def fill(filler: Filler, rgb: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """What `filler` puts into the hole."""
    return filler.fill(rgb.copy(), hole, np.random.default_rng(0))[hole]


def peak(file: Path, side: int) -> float:
    """MiB that a process takes which loads `file` and fills once."""
    command = [sys.executable, __file__, "--peak", str(file), str(side)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def network_table(folder: Path) -> str:
    from inpaint_cli.models.choose import load_model

    lines = [
        "| network | side | torch s | ONNX s | ratio | torch MB | ONNX MB | largest difference |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, sides in SIDES.items():
        files = [folder / f"{name}{suffix}" for suffix in (".safetensors", ".onnx")]
        fillers = [load_model(file, device="cpu").filler for file in files]
        for side in sides:
            rgb, hole = photo(side)
            a, b = (fill(f, rgb, hole) for f in fillers)
            torch_, onnx = paired(*(partial(fill, f, rgb, hole) for f in fillers), rounds=ROUNDS)
            peaks = [f"{peak(file, side):.0f}" for file in files]
            cells = [name, side, f"{torch_:.2f}", f"{onnx:.2f}", f"{onnx / torch_:.2f}", *peaks]
            lines.append(f"| {' | '.join(map(str, cells))} | {np.abs(a - b).max():.1g} |")
    return "\n".join(lines)


def shell_table(folder: Path) -> str:
    rgb, hole = photo(512)
    Image.fromarray((rgb * 255).astype(np.uint8)).save(folder / "photo.png")
    Image.fromarray(hole).save(folder / "hole.png")
    line = [sys.executable, *OURS, "fill", str(folder / "photo.png"), "--mask"]
    line += [str(folder / "hole.png"), "-o", str(folder / "out.png"), "--overwrite"]
    runs: dict[str, Sequence[str]] = {
        f"`{name}{suffix}`": [*line, "--weights", str(folder / f"{name}{suffix}")]
        for name in ("lama",)
        for suffix in (".safetensors", ".onnx")
    }
    found = measure({**runs, "`faces`": [*line, "--model", "faces"]}, ROUNDS)
    lines = ["| fill from the shell | processor s | ratio | peak MB |", "| --- |" + " ---: |" * 3]
    for name, (seconds, megabytes) in found.items():
        torch_ = found.get(name.replace(".onnx", ".safetensors"), (seconds, 0))[0]
        ratio = f"{seconds / torch_:.2f}" if ".onnx" in name else ""
        lines.append(f"| {name} | {seconds:.2f} | {ratio} | {megabytes:.0f} |")
    return "\n".join(lines)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder` on loopback by Python's own server, in a process of its own."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    child = subprocess.Popen(
        [*command, "-d", str(folder)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdout
        yield child.stdout.readline().partition("(")[2].partition("/)")[0]
    finally:
        child.terminate()
        child.wait()


def download_table(folder: Path) -> str:
    from inpaint_cli.files.fetch import PublishedFile, fetch_file

    content = np.random.default_rng(0).bytes(MEGABYTES * 1_000_000)
    (folder / "large.bin").write_bytes(content)
    digest = sha256(content).hexdigest()
    mine, theirs = folder / "mine", folder / "theirs.bin"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    with serve(folder) as url:
        file = PublishedFile("large.bin", f"{url}/large.bin", len(content), digest)
        curl = ["curl", "-s", "-o", str(theirs), file.url]

        def get() -> None:
            (mine / file.name).unlink(missing_ok=True)
            fetch_file(file, mine)

        def curl_and_hash() -> None:
            subprocess.run(curl, check=True)
            subprocess.run(["sha256sum", str(theirs)], check=True, capture_output=True)

        ours, bare, both = paired(
            get, lambda: subprocess.run(curl, check=True), curl_and_hash, rounds=7
        )
    lines = ["| a get of 200 MB | s | speed, to curl |", "| --- | ---: | ---: |"]
    names = ("`models get`, verified", "curl", "curl, then sha256sum")
    for name, taken in zip(names, (ours, bare, both), strict=True):
        lines.append(f"| {name} | {taken:.2f} | {bare / taken:.2f} |")
    return "\n".join(lines)


def catalogue_table(folder: Path) -> str:
    site = folder / "site"
    (site / "tidy_models-1.0.dist-info").mkdir(parents=True)
    entries = "".join(ENTRY.format(n=n, hash=sha256(bytes([n])).hexdigest()) for n in range(50))
    (site / "tidy.yaml").write_text(entries)
    (site / "tidy_models.py").write_text(
        "from pathlib import Path\nfrom inpaint_cli.api import Catalogue\n"
        "class Tidy(Catalogue):\n    @staticmethod\n"
        "    def path():\n        return Path(__file__).with_name('tidy.yaml')\n"
    )
    about = site / "tidy_models-1.0.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tidy-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[inpaint.catalogues]\ntidy = tidy_models:Tidy\n")
    lines = enumerate(COMMANDS.values())
    commands = "".join(COMMAND.format(n=n, line=line) for n, line in lines)
    (folder / "group.py").write_text(GROUP.format(commands=commands))
    os.environ["PYTHONPATH"] = str(site)
    listed = [sys.executable, *OURS, "models"]
    shown = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    assert shown.count("models get tidy-") == 50
    bare = "a bare click group, `--help`"
    runs: dict[str, Sequence[str]] = {
        bare: [sys.executable, str(folder / "group.py"), "--help"],
        "`inpaint models`": listed,
    }
    found = measure(runs, 15)
    rows = ["| 50 more entries | processor ms | to the bare group |", "| --- | ---: | ---: |"]
    for name, (seconds, _) in found.items():
        rows.append(f"| {name} | {1000 * seconds:.0f} | {seconds / found[bare][0]:.2f} |")
    return "\n".join(rows)


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        from inpaint_cli.models.choose import load_model

        fill(load_model(sys.argv[2], device="cpu").filler, *photo(int(sys.argv[3])))
        print(held())
        return
    if sys.argv[1:2] == ["--write"]:
        write_networks(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=[], metavar="SECTION")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, __file__, "--write", name], check=True)
        sections = {title: partial(table, Path(name)) for title, table in SECTIONS.items()}
        record_sections("published", "Published models", sections, only)


SECTIONS = {
    "Shell": shell_table,  # first: what this process held counts as a peak of those it starts
    "Networks": network_table,
    "Download": download_table,
    "Catalogue": catalogue_table,
}


if __name__ == "__main__":
    main()
