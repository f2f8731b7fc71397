"""Masks a second with a hole of 40 to 60 %, at 256 pixels on one core, against the peers' laws.

The peers are written out from their published parameters, drawn as they draw: whole masks, until
one is within the interval. Time is measured for accepted masks only, and each is checked.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from table import paired, record

from inpaint_cli.recipe.plugins import make_generator

SIZE, LOW, HIGH = 256, 0.4, 0.6
MASKS, ROUNDS = 300, 7


def strokes(
    rng: np.random.RandomState,
    *,
    times: tuple[int, int],
    angles: int,
    first: float,
    length: tuple[int, int],
    brush: tuple[int, int],
    kind: type,
) -> np.ndarray:
    """One mask of LaMa's and MMagic's common law: strokes of one to five segments."""
    mask = np.zeros((SIZE, SIZE), kind)
    for i in range(rng.randint(*times)):
        x, y = rng.randint(SIZE), rng.randint(SIZE)
        for _ in range(1 + rng.randint(5)):
            angle = first + rng.randint(angles)
            if i % 2 == 0:
                angle = 2 * math.pi - angle
            step, width = rng.randint(*length), rng.randint(*brush)
            u = int(min(max(x + step * math.sin(angle), 0), SIZE))
            v = int(min(max(y + step * math.cos(angle), 0), SIZE))
            cv2.line(mask, (x, y), (u, v), 1.0, width)
            x, y = u, v
    return mask


def lama(rng: np.random.RandomState) -> np.ndarray:
    """The strokes of LaMa's training and thick masks at 256."""
    return strokes(
        rng, times=(1, 7), angles=4, first=0.01, length=(10, 210), brush=(5, 105), kind=np.float32
    )


def mmagic(rng: np.random.RandomState) -> np.ndarray:
    """MMagic's irregular masks with the settings of its partial-convolution recipe."""
    return strokes(
        rng, times=(4, 10), angles=6, first=0, length=(20, 128), brush=(10, 45), kind=np.uint8
    )


def until(draw: Callable[[np.random.RandomState], np.ndarray], tally: list[int]) -> None:
    """Draw `MASKS` accepted masks, counting draws in `tally`."""
    rng = np.random.RandomState(0)
    for _ in range(MASKS):
        tally[0] += 1
        while not LOW < np.count_nonzero(draw(rng)) / SIZE**2 <= HIGH:
            tally[0] += 1


def main() -> None:
    cv2.setNumThreads(1)
    ours = make_generator("irregular", ratio=(LOW, HIGH))

    def mine() -> None:
        rng = np.random.default_rng(0)
        for _ in range(MASKS):
            share = np.count_nonzero(ours.draw(SIZE, SIZE, rng)) / SIZE**2
            assert LOW < share <= HIGH

    tallies = {"LaMa's strokes, redrawn": [0], "MMagic's irregular, redrawn": [0]}
    laws = dict(zip(tallies, (lama, mmagic), strict=True))
    runs = [lambda name=name: until(laws[name], tallies[name]) for name in laws]
    times = paired(mine, *runs, rounds=ROUNDS)
    draws = [1.0] + [tally[0] / (MASKS * (ROUNDS + 1)) for tally in tallies.values()]
    rows = [
        f"| {name} | {MASKS / t:,.0f} | {many:.2f} | {t / times[0]:.1f}x |"
        for name, t, many in zip(("`irregular`", *laws), times, draws, strict=True)
    ]
    record(
        "masks",
        "Masks with a hole of 40 to 60 %",
        f"{SIZE}x{SIZE}, one core, medians of {ROUNDS} interleaved rounds of {MASKS} accepted "
        "masks, each law drawing from one running generator.\n\n"
        "| law | accepted masks/s | draws a mask | time against ours |\n"
        "| --- | ---: | ---: | ---: |\n" + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
