"""Several models side by side on the same photos: what they make, how long, in how much memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from .. import images, registry
from ..errors import DataError, InpaintError
from ..files.pairs import Pair, pair_files
from ..files.write import atomic_path, check_free
from ..images.read import image_size
from ..models.choose import LoadedModel, ModelRef, load_model
from ..reports import contact_sheet as sheets
from ..reports.text import Table
from ..runtime.process import peak_memory
from ..runtime.workers import run_in_workers
from ..wording import json_number, number_text
from .fill import Notify, fill_photo, ignore
from .hole import PhotoHole, mark_photo
from .options import FillSettings, HoleOptions, RunOptions, split_mask, split_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

COMPARE_METRICS: Mapping[str, Mapping[str, Any]] = {  # what is measured where the truth is known
    "psnr": {"region": "hole"},
    "ssim": {"region": "hole"},
    "l1": {"region": "hole"},
    "seam": {},
}
SHEET_CELL = 320  # pixels a side of a picture on the sheet
SHEET_ROWS = 12  # photos on the sheet
HOLE_MARGIN = 24  # pixels of photo that are shown around a hole


@dataclass(frozen=True)
class ModelRun:
    """The fills of one model, made in a process of its own."""

    how: str
    seconds: Mapping[str, float]  # of filling, by photo
    failed: Mapping[str, str]
    memory: float  # bytes at the peak, beyond the program itself; NaN where nobody knows


@dataclass(frozen=True)
class ModelScores:
    """One model in the table: means over the photos that it filled, and peak memory in MB."""

    model: str
    how: str
    seconds: float
    memory: float
    scores: Mapping[str, float]  # by metric; empty without the truth
    failed: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, which has no NaN."""
        return asdict(self) | {
            "seconds": json_number(self.seconds),
            "memory": json_number(self.memory),
            "scores": {name: json_number(score) for name, score in self.scores.items()},
        }


def compare_models(
    photos: Path,
    masks: str | Path | None,
    models: Sequence[str],
    page: Path,
    *,
    truth: Path | None = None,
    results: Path | None = None,
    overwrite: bool = False,
    notify: Notify = ignore,
    **settings: Unpack[FillSettings],
) -> list[ModelScores]:
    """Fill `photos`, one or a folder, with each of `models` in turn; write a sheet to `page`.

    `masks` are as `fill_folder` takes them. `truth` shows what is really in the hole: a photo, or
    a folder with the same names. `results` is a folder that keeps what each model made, as
    MODEL/NAME.png. `settings` are the other keywords of `fill`. Files are replaced only with
    `overwrite`.
    """
    path, alpha = split_mask(masks)
    hole, run = split_settings(alpha, settings)
    check_free(page, overwrite=overwrite)
    labels = label_models(models)
    pairs = find_pairs(photos, path, results, notify)
    truths = {each.name: find_truth(each, photos, truth, hole) for each in pairs} if truth else {}
    if results:
        for label, each in product(labels, pairs):
            check_free(result_path(results / label, each), overwrite=overwrite)
    with TemporaryDirectory() as scratch:
        contest = Contest(pairs, truths, hole, run, results or Path(scratch))
        runs = {label: contest.run_model(label, ref, notify) for label, ref in labels.items()}
        lines = [
            ModelScores(
                label,
                done.how,
                float(np.mean([*done.seconds.values()])) if done.seconds else math.nan,
                done.memory / 1e6,
                contest.score(label, done) if truth else {},
                done.failed,
            )
            for label, done in runs.items()
        ]
        sheet = contest.draw_sheet(runs)
    with atomic_path(page) as temporary:
        sheet.save(temporary)
    return lines


def find_pairs(
    photos: Path, masks: Path | None, results: Path | None, notify: Notify
) -> Sequence[Pair]:
    """Return the photos with their masks; raise `DataError` where there is none."""
    if photos.is_dir():
        found = pair_files(photos, masks, skip=results)
        pairs = found.pairs
        for sentence in (*found.alone.values(), *found.unused.values()):
            notify(sentence)
    else:
        pairs = [Pair(photos.name, photos, masks)]
    if not pairs:
        raise DataError(f"no photo of {photos} has a mask")
    check_unique_outputs(pairs)
    return pairs


def label_models(models: Sequence[str]) -> dict[str, ModelRef]:
    """Return the models by short names; raise at once where one is missing, or given twice."""
    labels: dict[str, ModelRef] = {}
    for choice in models:
        ref = ModelRef.parse(choice)
        ref.check()
        label = Path(choice).stem if ref.weights else choice
        if label in labels:
            raise DataError(f"two models are called {label}: leave out {choice}")
        labels[label] = ref
    return labels


def check_unique_outputs(pairs: Sequence[Pair]) -> None:
    """Raise `DataError` where two photos would be filled under one name."""
    names: dict[Path, Path] = {}
    for each in pairs:
        name = result_path(Path(), each)
        if name in names:
            raise DataError(
                f"{names[name]} and {each.photo} would both be filled as {name}; rename one"
            )
        names[name] = each.photo


def find_truth(pair: Pair, photos: Path, truth: Path, hole: HoleOptions) -> Path:
    """The truth of a photo, which is as large as the photo becomes."""
    path = truth / pair.name if photos.is_dir() else truth
    if not path.is_file():
        raise DataError(f"{path} is missing: the truth of {pair.photo} has the same name")
    (height, width), (h, w) = map(image_size, (pair.photo, path))
    left, top, right, bottom = hole.sides((height, width))
    height, width = height + top + bottom, width + left + right
    if (height, width) != (h, w):
        what = f"{pair.photo}, extended," if hole.extend else f"{pair.photo}"
        raise DataError(f"{path} is {w}x{h}, but {what} is {width}x{height}; make them equal")
    return path


@dataclass(frozen=True)
class Contest:
    """Photos that several models fill, and where their fills go."""

    pairs: Sequence[Pair]
    truths: Mapping[str, Path]  # by the name of the photo; empty where they are not known
    hole: HoleOptions
    run: RunOptions
    folder: Path

    def run_model(self, label: str, ref: ModelRef, notify: Notify) -> ModelRun:
        """Fill all photos with one model, in a process of its own."""
        begin = partial(start_model, self, label, ref)
        # at least 2 workers, so that the model runs in a child process whose memory is its own
        preload = ["inpaint_cli.models.network" if ref.path else __name__]
        ((_, done),) = run_in_workers(begin, [self.pairs], 2, preload=preload)
        if done is None:
            raise InpaintError(f"the process of {label} was killed (out of memory?)")
        notify(done.how)
        for sentence in done.failed.values():
            notify(f"{label}: {sentence}")
        return done

    def score(self, label: str, done: ModelRun) -> dict[str, float]:
        """Return the metrics' averages over the photos that a model has filled."""
        from ..api.tensors import to_tensor

        metrics = {
            name: registry.load_plugin("metrics", name)(**settings)
            for name, settings in COMPARE_METRICS.items()
        }
        scores: dict[str, list[float]] = {name: [] for name in metrics}
        for each in self.pairs:
            if each.name not in done.seconds:
                continue
            _, hole = mark_photo(images.read_photo(each.photo), each.mask, self.hole)
            filled, truth = (
                to_tensor(images.to_bytes(images.read_photo(path).rgb))
                for path in (result_path(self.folder / label, each), self.truths[each.name])
            )
            for name, metric in metrics.items():
                score = metric.score(filled, truth, to_tensor(hole.area[..., None]))
                scores[name].append(float(score))
        return {name: metric.over(scores[name]) for name, metric in metrics.items()}

    def draw_sheet(self, runs: Mapping[str, ModelRun]) -> Image.Image:
        """Return a sheet with a row a photo, around its hole, at native scale where that fits."""
        shown = self.pairs[:: -(-len(self.pairs) // SHEET_ROWS)]
        rows = [row for each in shown if (row := self.draw_row(each, runs))]
        some = f", {len(shown)} of {len(self.pairs)} photos" if len(shown) < len(self.pairs) else ""
        return sheets.contact_sheet(rows, cell=SHEET_CELL, heading=f"{' | '.join(runs)}{some}")

    def draw_row(self, pair: Pair, runs: Mapping[str, ModelRun]) -> list[Any]:
        """Return photo, hole, fills and truth with captions; nothing for a photo that is broken."""
        try:
            photo, hole = mark_photo(images.read_photo(pair.photo), pair.mask, self.hole)
        except InpaintError:  # every model's process has said so
            return []
        box = hole_view(hole.area)
        before = cut_view(photo, box)
        row: list[Any] = [
            (before, pair.name),
            (sheets.overlay_hole(before, hole.area[box]), "hole"),
        ]
        for label, done in runs.items():
            path = result_path(self.folder / label, pair)
            row.append(
                (cut_view(images.read_photo(path), box), label)
                if pair.name in done.seconds
                else (np.full((8, 8, 3), 255, np.uint8), f"{label} failed")
            )
        if self.truths:
            row.append((cut_view(images.read_photo(self.truths[pair.name]), box), "truth"))
        return row


def start_model(
    contest: Contest, label: str, ref: ModelRef
) -> Callable[[Sequence[Pair]], ModelRun]:
    """Load a model, measuring from here on how much memory it takes; return what fills."""
    before = peak_memory()
    run = contest.run
    model = load_model(ref, device=run.device, precision=run.precision)

    def work(pairs: Sequence[Pair]) -> ModelRun:
        warm_up(model, run)
        seconds, failed = {}, {}
        for each in tqdm(pairs, desc=model.name, unit="photo", disable=None):
            try:
                photo, hole = mark_photo(images.read_photo(each.photo), each.mask, contest.hole)
                output = result_path(contest.folder / label, each)
                result = fill_photo(model, photo, hole, run=run).save(output, overwrite=True)
            except InpaintError as error:
                failed[each.name] = str(error)
            else:
                seconds[each.name] = result.seconds
        base = 0 if model.device.startswith("cuda") else before
        memory = peak_memory(model.device) - base
        how = f"{model.name} on {model.device} in {model.precision} precision"
        return ModelRun(how, seconds, failed, memory)

    return work


def warm_up(model: LoadedModel, run: RunOptions) -> None:
    """Fill a little picture once, so that the first photo is not charged with imports."""
    side = 64
    gray = images.Photo("", "PNG", "RGB", np.full((side, side, 3), 127, np.uint8))
    area = np.zeros((side, side), np.bool_)
    area[24:40, 24:40] = True
    fill_photo(model, gray, PhotoHole(area, area), run=run)


def result_path(folder: Path, pair: Pair) -> Path:
    """Return the path of a model's fill of a photo; PNG, so that files cost no quality."""
    return (folder / pair.name).with_suffix(".png")


def hole_view(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A window of at most CELL pixels a side around the hole, or around the middle of it."""
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero(hole.any(axis))
        side = hole.shape[1 - axis]
        if not used.size:
            used = np.array([side // 2])
        middle, length = (used[0] + used[-1]) // 2, used[-1] - used[0] + 2 * HOLE_MARGIN
        if length > SHEET_CELL:
            middle, length = int(np.median(used)), SHEET_CELL
        length = min(length, side)
        start = max(0, min(middle - length // 2, side - length))
        spans.append(slice(int(start), int(start + length)))
    return spans[0], spans[1]


def cut_view(photo: images.Photo, box: tuple[slice, slice]) -> NDArray[np.uint8]:
    """A window of the photo in 8 bit."""
    rows, columns = box
    size = rows.stop - rows.start, columns.stop - columns.start
    return images.to_bytes(photo.crop(rows.start, columns.start, *size))


def show_scores(scores: Sequence[ModelScores]) -> str:
    """Return the table of a comparison as text."""
    names = [*scores[0].scores] if scores else []
    rows = [
        [
            line.model,
            number_text(line.seconds, ".3f"),
            number_text(line.memory, ".0f"),
            *(number_text(line.scores[name], ".3f") for name in names),
        ]
        for line in scores
    ]
    return Table(["model", "seconds", "MB", *names], rows).text()
