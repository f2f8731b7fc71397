"""Several models side by side on the same photos: what they make, how long, in how much memory."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from .. import images, registry
from ..errors import DataError, InpaintError
from ..files.pairs import Pair, pair_files
from ..files.write import atomic_path, check_free
from ..images.read import image_size
from ..models.choose import locate_weights, named_weights, no_model
from ..reports import contact_sheet as sheets
from ..runtime.workers import run_in_workers
from .options import FillOptions

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
    """What one model did in a process of its own."""

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
        """For JSON, which knows no NaN."""
        return asdict(self) | {
            "seconds": none_if_nan(self.seconds),
            "memory": none_if_nan(self.memory),
            "scores": {name: none_if_nan(score) for name, score in self.scores.items()},
        }


def compare_models(
    photos: Path,
    masks: Path | None,
    models: Sequence[str],
    *,
    options: FillOptions,
    truth: Path | None = None,
    page: Path,
    results: Path | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda note: None,
) -> list[ModelScores]:
    """Fill `photos`, one or a folder, with each of `models`, in this order; write a sheet.

    `truth` is what the photos look like where the hole is: a photo, or a folder with the same
    names. `results` is a folder that keeps what each model made, as MODEL/NAME.png; what it holds
    is replaced only by `overwrite`.
    """
    labels = label_models(models)
    if photos.is_dir():
        found = pair_files(photos, masks, skip=results)
        pairs = found.pairs
        for sentence in (*found.alone.values(), *found.unused.values()):
            tell(sentence)
    else:
        pairs = [Pair(photos.name, photos, masks)]
    if not pairs:
        raise DataError(f"no photo of {photos} has a mask")
    check_unique_outputs(pairs)
    truths = {each.name: find_truth(each, photos, truth) for each in pairs} if truth else {}
    if results:
        for label, each in product(labels, pairs):
            check_free(result_path(results / label, each), overwrite=overwrite)
    with TemporaryDirectory() as scratch:
        folder = results or Path(scratch)
        runs = {}
        for label, choice in labels.items():
            begin = partial(start_model, choice, options, folder / label)
            # two at least, lest it be this process: the next model's memory would not be its own
            ((_, run),) = run_in_workers(begin, [pairs], 2, preload=["inpaint_cli.filling.fill"])
            if run is None:
                raise InpaintError(f"the process of {label} died, perhaps for want of memory")
            tell(run.how)
            for sentence in run.failed.values():
                tell(f"{label}: {sentence}")
            runs[label] = run
        lines = [
            ModelScores(
                label,
                run.how,
                float(np.mean([*run.seconds.values()])) if run.seconds else math.nan,
                run.memory / 1e6,
                score_run(pairs, run, truths, options, folder / label) if truth else {},
                run.failed,
            )
            for label, run in runs.items()
        ]
        picture = draw_sheet(pairs, truths, options, runs, folder)
    with atomic_path(page) as temporary:
        picture.save(temporary)
    return lines


def label_models(models: Sequence[str]) -> dict[str, str]:
    """The models by short names; complains at once about what there is not, or twice."""
    labels: dict[str, str] = {}
    for choice in models:
        if (
            choice not in registry.find_plugins("architectures")
            and not locate_weights(choice).is_file()
        ):
            raise no_model(choice)
        label = Path(choice).stem if Path(choice).is_file() else choice
        if label in labels:
            raise DataError(f"{choice} and {labels[label]} are both called {label}: leave out one")
        labels[label] = choice
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


def find_truth(pair: Pair, photos: Path, truth: Path) -> Path:
    """The truth of a photo, which is as large."""
    path = truth / pair.name if photos.is_dir() else truth
    if not path.is_file():
        raise DataError(f"{path} is missing: the truth of {pair.photo} has the same name")
    (height, width), (h, w) = map(image_size, (pair.photo, path))
    if (height, width) != (h, w):
        raise DataError(f"{path} is {w}x{h}, but {pair.photo} is {width}x{height}; make them equal")
    return path


def start_model(
    choice: str, options: FillOptions, folder: Path
) -> Callable[[Sequence[Pair]], ModelRun]:
    """Open a model, measuring from here on how much memory it takes."""
    import torch

    from ..models.choose import open_model
    from . import fill
    from .hole import find_hole

    before = peak_memory()
    is_file = choice not in registry.find_plugins("architectures") and choice not in named_weights()
    model = open_model(None, choice) if is_file else open_model(choice)
    device, precision = fill.choose_runtime(model, options)

    def work(pairs: Sequence[Pair]) -> ModelRun:
        warm_up(model, options)
        seconds, failed = {}, {}
        for each in tqdm(pairs, desc=model.name, unit="photo", disable=None):
            try:
                photo = images.read_photo(each.photo)
                hole = find_hole(photo, each.mask, options).hole
                written = fill.fill_file(
                    model,
                    photo,
                    hole,
                    result_path(folder, each),
                    options=options,
                    overwrite=True,
                )
            except InpaintError as error:
                failed[each.name] = str(error)
            else:
                seconds[each.name] = written.seconds
        on_gpu = device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(device) if on_gpu else peak_memory() - before
        how = f"{model.name} on {device} in {precision} precision"
        return ModelRun(how, seconds, failed, memory)

    return work


def warm_up(model: Any, options: FillOptions) -> None:
    """Fill a little picture once, so that the first photo is not charged with imports."""
    from . import fill

    side = 64
    gray = images.Photo("", "PNG", "RGB", np.full((side, side, 3), 127, np.uint8))
    hole = np.zeros((side, side), np.bool_)
    hole[24:40, 24:40] = True
    fill.fill_photo(model, gray, hole, options=options)


def peak_memory() -> float:
    """The most memory that this process has had so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)


def result_path(folder: Path, pair: Pair) -> Path:
    """Where a model's fill of a photo lies; PNG, so that files cost no quality."""
    return (folder / pair.name).with_suffix(".png")


def score_run(
    pairs: Sequence[Pair],
    run: ModelRun,
    truths: Mapping[str, Path],
    options: FillOptions,
    folder: Path,
) -> dict[str, float]:
    """The metrics' averages over the photos that a model has filled."""
    import torch

    from .hole import find_hole

    def levels(photo: images.Photo) -> torch.Tensor:
        return torch.from_numpy(images.to_bytes(photo.rgb)).permute(2, 0, 1)[None]

    metrics = {
        name: registry.load_plugin("metrics", name)(**settings)
        for name, settings in COMPARE_METRICS.items()
    }
    scores: dict[str, list[float]] = {name: [] for name in metrics}
    for each in pairs:
        if each.name not in run.seconds:
            continue
        photo = images.read_photo(each.photo)
        mask = torch.from_numpy(
            images.grow(find_hole(photo, each.mask, options).hole, options.grow)
        )
        pictures = [
            levels(images.read_photo(p)) for p in (result_path(folder, each), truths[each.name])
        ]
        for name, metric in metrics.items():
            scores[name].append(float(metric.score(*pictures, mask[None, None])))
    return {name: metric.over(scores[name]) for name, metric in metrics.items()}


def draw_sheet(
    pairs: Sequence[Pair],
    truths: Mapping[str, Path],
    options: FillOptions,
    runs: Mapping[str, ModelRun],
    folder: Path,
) -> Image.Image:
    """The sheet: a row a photo, around its hole and at native scale as far as that fits."""
    from .hole import find_hole

    shown = pairs[:: -(-len(pairs) // SHEET_ROWS)]
    rows = []
    for each in shown:
        try:
            photo = images.read_photo(each.photo)
            hole = images.grow(find_hole(photo, each.mask, options).hole, options.grow)
        except InpaintError:  # every model's process has said so
            continue
        box = hole_view(hole)
        before = cut_view(photo, box)
        row = [(before, each.name), (sheets.overlay_hole(before, hole[box]), "hole")]
        for label, run in runs.items():
            row.append(
                (cut_view(images.read_photo(result_path(folder / label, each)), box), label)
                if each.name in run.seconds
                else (np.full((8, 8, 3), 255, np.uint8), f"{label} failed")
            )
        if truths:
            row.append((cut_view(images.read_photo(truths[each.name]), box), "truth"))
        rows.append(row)
    some = f", {len(shown)} of {len(pairs)} photos" if len(shown) < len(pairs) else ""
    return sheets.contact_sheet(rows, cell=SHEET_CELL, heading=f"{' | '.join(runs)}{some}")


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


def none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
