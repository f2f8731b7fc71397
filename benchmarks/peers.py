"""Fill as other PatchMatch packages do, or as this one did before: a process with its own packages.

    ENVIRONMENT/bin/python benchmarks/peers.py

`Peers` makes the environment and talks to it: a line with the name of a filler and of a .npz file
(`rgb` uint8 [H, W, 3], `hole`) is answered by the seconds of processor time, or "nan" where it
failed; the file then has `filled`. Nothing of the project is imported.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PACKAGES = ("pypatchmatch==2.2", "patchmatch-cython==0.2", "opencv-python-headless", "numpy")
NAMES = ("pypatchmatch", "patchmatch-cython", "before")
BEFORE = "380a053"  # the commit of which `before` is
FOLDER = "plugins/inpaint_plugins/patchmatch"


class Peers:
    """The fillers NAMES, as functions of arrays."""

    def __init__(self, environment: Path) -> None:
        python = environment / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        self.exchange = Path(tempfile.mkdtemp()) / "photo.npz"
        before = self.exchange.parent / "before"
        before.mkdir()
        for name in ("model", "products", "seams"):
            show = ["git", "show", f"{BEFORE}:{FOLDER}/{name}.py"]
            root = Path(__file__).parents[1]
            text = subprocess.run(show, cwd=root, check=True, capture_output=True).stdout
            (before / f"{name}.py").write_bytes(text)
        self.process = subprocess.Popen(
            [python, __file__, before.parent],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fill(self, name: str, rgb, hole):
        """`rgb` uint8 [H, W, 3] with `hole` [H, W] filled by `name`, and the seconds it took."""
        assert self.process.stdin
        assert self.process.stdout
        np.savez(self.exchange, rgb=rgb, hole=hole)
        print(name, self.exchange, file=self.process.stdin, flush=True)
        seconds = float(self.process.stdout.readline())
        with np.load(self.exchange) as answer:
            return answer["filled"], seconds


def main() -> None:
    sys.path[0] = sys.argv[1]  # instead of this folder, which has a patchmatch.py
    import cv2
    import patchmatch
    import patchmatch_cython
    from before.model import inpaint

    cv2.setNumThreads(1)
    patchmatch.set_random_seed(0)

    def fill_before(rgb, hole):
        filled = inpaint(rgb / np.float32(255), hole, np.random.default_rng(0))
        return np.where(hole[..., None], np.rint(filled * 255), rgb).astype(np.uint8)

    fillers = {
        "pypatchmatch": lambda rgb, hole: patchmatch.inpaint(rgb, hole, patch_size=3),
        "patchmatch-cython": lambda rgb, hole: patchmatch_cython.inpaint_pyramid(rgb, hole, seed=0),
        "before": fill_before,
    }
    for line in sys.stdin:
        name, path = line.split()
        with np.load(path) as given:
            rgb, hole = given["rgb"], given["hole"]
        start = time.process_time()
        try:
            filled = fillers[name](rgb, hole)
            seconds = time.process_time() - start
        except ValueError:  # patchmatch-cython sees no source where little is visible
            filled, seconds = rgb, float("nan")
        np.savez(path, filled=filled)
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
