"""The page in Chromium: how soon it shows a photo, strokes on large ones, and fills beside `fill`.

Photos are skimage's rocket, enlarged, with noise. Times are wall seconds on this machine, medians;
a stroke is 60 moves of the pointer, each with the drawing that follows it, read back from the
canvas so that it has been done.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data
from table import record

SIZES = {12: (4000, 3000), 24: (6000, 4000), 50: (8688, 5792)}  # megapixels: width, height
HOLE = (1500, 1200, 200, 200)
ROUNDS = 5
INPAINT = [sys.executable, "-m", "inpaint_cli"]
STROKE = """async () => {
  const canvas = document.querySelector("#mask-layer");
  const box = canvas.getBoundingClientRect();
  canvas.setPointerCapture = () => {};
  const fire = (name, x, y) => canvas.dispatchEvent(new PointerEvent(name,
    {clientX: box.left + x, clientY: box.top + y, pointerId: 1, button: 0, bubbles: true}));
  const times = [];
  fire("pointerdown", 200, 250);
  for (let n = 0; n < 60; n++) {
    const start = performance.now();
    fire("pointermove", 200 + 6 * n, 250 + 80 * Math.sin(n / 5));
    inpaint.scene.drawMask();
    inpaint.scene.above.getImageData(0, 0, 1, 1);
    times.push(performance.now() - start);
    await new Promise(requestAnimationFrame);
  }
  const start = performance.now();
  fire("pointerup", 560, 250);
  times.sort((a, b) => a - b);
  return [times[30], times[57], performance.now() - start];
}"""
SHOWN = "inpaint.editor && inpaint.editor.tiles.kept.size && !inpaint.scene.frame"


def make_photo(path: Path, size: tuple[int, int]) -> None:
    photo = Image.fromarray(data.rocket()).resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(-6, 7, (size[1], size[0], 1), np.int16)
    pixels = (np.asarray(photo, np.int16) + noise).clip(0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=92)


@contextmanager
def serve(photo: Path) -> Iterator[tuple[str, float]]:
    """Serve `photo`; give the address, and the seconds until it was printed."""
    start = perf_counter()
    command = [*INPAINT, "paint", "--no-browser", str(photo)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process.stdout.readline().strip(), perf_counter() - start
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def wait(page: Any, condition: str) -> None:
    while not page.evaluate(f"() => Boolean({condition})"):
        page.wait_for_timeout(5)


def measure_photo(browser: Any, photo: Path) -> list[float]:
    """Seconds until the address, then until the photo is seen; milliseconds of strokes."""
    with serve(photo) as (address, started):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = perf_counter()
        page.goto(address)
        wait(page, SHOWN)
        shown = perf_counter() - start
        page.wait_for_timeout(2000)
        stroke = page.evaluate(STROKE)
        page.close()
    return [started, shown, *stroke]


def measure_fills(browser: Any, photo: Path, model: str) -> tuple[float, float]:
    """Median seconds of `inpaint fill`, and of the page from the key to the result."""
    x, y, width, height = HOLE
    region = f"{x},{y},{width},{height}"
    command = [*INPAINT, "fill", str(photo), "--region", region, "--model", model, "--overwrite"]
    shell, own = [], []
    with serve(photo) as (address, _):
        page = browser.new_page()
        page.goto(address)
        wait(page, f"{SHOWN} && document.querySelector('#model').value")
        page.select_option("#model", model)
        hole = f"left: {x}, top: {y}, right: {x + width}, bottom: {y + height}"
        page.evaluate(f"() => inpaint.tools.box.use({{{hole}}})")
        for n in range(ROUNDS + 1):
            start = perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            shell.append(perf_counter() - start)
            start = perf_counter()
            page.keyboard.press("Control+Enter")
            wait(page, f"inpaint.editor.results.size > {n} && !inpaint.busy")
            own.append(perf_counter() - start)
        page.close()
    return median(shell[1:]), median(own[1:])


def main() -> None:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        lines = [
            "| photo | address printed | photo seen after that | a move of a stroke: median, 95 %"
            " | its end |",
            "| --- | --- | --- | --- | --- |",
        ]
        for size, shape in SIZES.items():
            photo = Path(folder, f"{size}.jpg")
            make_photo(photo, shape)
            started, shown, usual, slow, end = measure_photo(browser, photo)
            lines.append(
                f"| {size} MP | {started:.2f} s | {shown:.2f} s | {usual:.1f} ms, {slow:.1f} ms"
                f" | {end:.0f} ms |"
            )
        lines += ["", "| 200x200 of 12 MP | `inpaint fill` | the page |", "| --- | --- | --- |"]
        for model in ("telea", "patchmatch"):
            shell, own = measure_fills(browser, Path(folder, "12.jpg"), model)
            lines.append(f"| {model} | {shell:.2f} s | {own:.2f} s |")
        browser.close()
    record("page", "The page in Chromium", "\n".join(lines))


if __name__ == "__main__":
    main()
