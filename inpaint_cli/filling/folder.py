"""Fill all photos of a folder: resumable, every failure reported, safe against kills.

Finding out that nothing is left to do imports no torch.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from .. import images
from ..errors import DataError, ImageError, InpaintError
from ..files.archives import archive_of
from ..files.pairs import Pair, Pairing, pair_files
from ..files.pictures import picture_format, written_suffix
from ..files.stamps import FileStamp
from ..files.write import sweep_folder, write_error
from ..models.choose import LoadedModel, ModelRef, load_model
from ..runtime.process import limit_threads
from ..runtime.workers import run_in_workers
from ..wording import count_text, name_some
from . import ledger
from .fill import FillResult, Notify, describe_run, fill_photo, ignore
from .hole import files_of_finders, mark_photo
from .ledger import LedgerEntry
from .options import (
    FillSettings,
    HoleOptions,
    RunOptions,
    check_integer,
    check_marked,
    options_to_dict,
    split_mask,
    split_settings,
)
from .provenance import card_path, write_card

if TYPE_CHECKING:
    from typing_extensions import Unpack

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, of what a user may have of it
SHOWN = 3  # masks without a photo that get a sentence each
ItemState = Literal["new", "changed", "missing", "again", "done", "failed"]


@dataclass(frozen=True)
class FolderJob:
    """A job as plain values, which are sent to other processes."""

    photos: Path
    masks: Path | None  # a file for all, a folder, or None: what `hole` says alone
    output: Path
    hole: HoleOptions
    run: RunOptions
    model: ModelRef
    only: Sequence[str] = ()
    overwrite: bool = False
    verify: bool = False
    card: bool = False
    format: str = ""  # suffix of the results, such as ".png"; empty: those of the photos
    quality: int | None = None  # of lossy results, 1 to 100; None: as that of the photos

    def output_path(self, name: str) -> Path:
        """Return where the photo `name` is written, filled."""
        path = self.output / name
        return path.with_suffix(self.format or written_suffix(path))

    @property
    def settings(self) -> str:
        """A hash of all that shapes the results besides photos and masks; the device does not."""
        options = options_to_dict(self.hole, replace(self.run, device=""))
        written = [self.format, self.quality] if self.format or self.quality else []
        shaping = json.dumps([self.model.identity, options, *written])
        return sha256(shaping.encode()).hexdigest()


@dataclass(frozen=True)
class JobItem:
    """A pair and its state; `made` is the file that this job wrote, if nothing changed it since."""

    pair: Pair
    output: Path
    state: ItemState
    made: FileStamp | None = None
    error: str = ""
    untouched: bool = False  # when it was done, there was no hole

    @property
    def open(self) -> bool:
        return self.state not in ("done", "failed")


@dataclass(frozen=True)
class ItemOutcome:
    """The outcome of an item, and what concerns the whole job: the model, a full disk."""

    entry: LedgerEntry
    how: str = ""
    full: bool = False


@dataclass
class Tally:
    """The counts of one process; `failed` are sentences by name."""

    filled: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    untouched: list[str] = field(default_factory=list)
    noted: int = 0  # photos about which the ledger has notes
    stopped: str = ""  # why not everything was tried


@dataclass(frozen=True)
class FolderReport:
    """The outcome of a job; `failed` photos and `unused` masks are sentences by name.

    `untouched` photos have no hole and came back as they were, now or in an earlier run: they
    count neither as filled nor as kept.
    """

    output: Path
    filled: int
    kept: int
    failed: Mapping[str, str]
    untouched: Sequence[str]
    unused: Mapping[str, str]
    noted: int  # photos about which the ledger has notes
    stopped: str  # why not everything was tried
    seconds: float
    plan: Sequence[JobItem] = ()  # all photos, and how each stood before

    @property
    def complete(self) -> bool:
        """True if every photo has been filled."""
        return not (self.failed or self.untouched or self.stopped)

    @property
    def heading(self) -> str:
        """How many photos ended in which way."""
        counts = f"{self.filled} filled, {self.kept} kept, {len(self.failed)} failed"
        return counts + (f", {len(self.untouched)} untouched" if self.untouched else "")

    def sentences(self) -> Iterator[str]:
        """Yield what the user should know: on masks without photo, failures, empty holes."""
        if len(self.unused) > SHOWN:
            yield f"{len(self.unused)} masks belong to no photo: {name_some([*self.unused])}"
        else:
            yield from self.unused.values()
        yield from self.failed.values()
        if self.untouched:
            names = name_some(self.untouched)
            yield f"{count_text(len(self.untouched), 'photo')} without a hole came back: {names}"
        if self.noted:
            yield f"{self.output / ledger.LEDGER} has notes on {self.noted} of the photos"

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, without the plan."""
        values = {key: value for key, value in vars(self).items() if key != "plan"}
        return values | {"output": str(self.output)}

    def plan_to_dict(self) -> dict[str, Any]:
        """Return the plan as values of JSON."""
        return {
            "pairs": [
                {
                    "photo": str(item.pair.photo),
                    "mask": item.pair.mask and str(item.pair.mask),
                    "output": str(item.output),
                    "state": item.state,
                }
                for item in self.plan
            ],
            "failed": self.failed,
            "unused": self.unused,
        }


def pair_job(job: FolderJob) -> Pairing:
    """Find the photos and their masks; `DataError` if there are none or a result would hit one."""
    pairing = pair_files(job.photos, job.masks, only=job.only, skip=job.output)
    check_inputs_safe(job, pairing.pairs)
    return pairing


def survey_job(job: FolderJob, pairing: Pairing, *, retry_failed: bool = False) -> list[JobItem]:
    """Return every pair with its state by the ledger and the files; writes nothing."""
    known, settings = ledger.read_entries(job.output), job.settings
    items = []
    for each in pairing.pairs:
        output, entry = job.output_path(each.name), known.get(each.name)
        made = entry.made if entry and entry.made and entry.made.fits(output) else None
        state: ItemState = "new"
        if entry is not None:
            if not (entry.settings == settings and is_unchanged(entry, each)):
                state = "changed"
            elif entry.error:
                state = "failed" if entry.lasting and not retry_failed else "again"
            else:
                state = (
                    "done" if made and (not job.card or card_path(output).exists()) else "missing"
                )
        error = entry.error if entry and state == "failed" else ""
        untouched = state == "done" and entry is not None and entry.untouched
        items.append(JobItem(each, output, state, made, error, untouched))
    return items


def is_unchanged(entry: LedgerEntry, pair: Pair) -> bool:
    """Whether photo, mask and what finders read are those of `entry`."""
    if entry.photo is None or (entry.mask is None) != (pair.mask is None):
        return False
    read = {Path(path): stamp for path, stamp in entry.files.items()}
    if entry.mask and pair.mask:
        read[pair.mask] = entry.mask
    return entry.photo.fits(pair.photo) and all(stamp.fits(path) for path, stamp in read.items())


def check_inputs_safe(job: FolderJob, pairs: Sequence[Pair]) -> None:
    """Raise `DataError` where an output is an input of the job, or two outputs are one."""
    if job.output.exists() and not job.output.is_dir():
        raise DataError(f"{job.output} is a file; give a folder with -o")

    place = cache(folder_identity)

    def spot(path: Path) -> tuple[object, str]:
        return place(path.parent), path.name

    files = {path for pair in pairs for path in (pair.photo, pair.mask) if path}
    inputs = {spot(archive_of(path) or path) for path in files}
    outputs: dict[Path, str] = {}
    for each in pairs:
        output = job.output_path(each.name)
        if spot(output) in inputs:
            raise DataError(f"{output} would overwrite an input; give another -o")
        if (other := outputs.setdefault(output, each.name)) != each.name:
            raise DataError(f"{other} and {each.name} would both become {output}; rename one")


def fill_folder(
    photos: str | Path,
    masks: str | Path | None,
    output: str | Path,
    *,
    model: str | Path | ModelRef | None = None,
    only: Sequence[str] = (),
    workers: int = 1,
    retry_failed: bool = False,
    overwrite: bool = False,
    verify: bool = False,
    card: bool = False,
    dry_run: bool = False,
    format: str | None = None,
    quality: int | None = None,
    notify: Notify = ignore,
    **settings: Unpack[FillSettings],
) -> FolderReport | None:
    """Fill all photos of a folder; what is done already is kept.

    `photos` may also be a zip file, tar, shards, tables or a list of paths. `masks` is one of these
    with masks, paired by name, or one mask for all photos, "alpha" where the photos themselves are
    transparent, or None where `regions`, `find` or `extend` say it all. Results go into the folder
    `output`, in the subfolders and under the names of the photos (those of a list are relative to
    the deepest folder that has all of them, if a path leads out of the list's folder), beside
    a ledger that lets the same call resume. `only` are patterns of names. `format`, such as "png",
    is that of the results, and `quality`, 1 to 100, that of lossy ones; by default both are the
    photos' own. A photo that fails stops nothing: see `FolderReport.failed`. `settings` are the
    other keywords of `fill`, such as grow=4.

    Under `torchrun` each process fills its share; the first returns the report of all,
    the others None. Raises `InpaintError` where the job as a whole cannot be done.

    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> folder = Path(mkdtemp())
    >>> Image.new("RGB", (40, 30), "navy").save(folder / "sea.png")
    >>> fill_folder(
    ...     folder, None, folder / "out", regions=[(5, 5, 4, 4)], model="telea"
    ... ).filled
    1
    """
    path, alpha = split_mask(masks)
    check_marked(masks, settings)
    hole, run = split_settings(alpha, settings)
    ref = model if isinstance(model, ModelRef) else ModelRef.parse(model) if model else ModelRef()
    suffix = f".{format.lower().removeprefix('.')}" if format else ""
    if suffix:
        picture_format(Path(f"the format{suffix}"))
    if quality is not None:
        check_integer("quality", quality, 1, 100)
        if card:
            raise InpaintError("a card does not hold the quality: leave out one of them")
    job = FolderJob(
        Path(photos),
        path,
        Path(output),
        hole,
        run,
        ref,
        only,
        overwrite=overwrite,
        verify=verify,
        card=card,
        format=suffix,
        quality=quality,
    )
    if dry_run:
        pairing = pair_job(job)
        plan = survey_job(job, pairing, retry_failed=retry_failed)
        return make_report(job, pairing, plan, [], 0.0)
    return run_job(job, workers=workers, retry_failed=retry_failed, notify=notify)


def run_job(
    job: FolderJob, *, workers: int, retry_failed: bool, notify: Notify
) -> FolderReport | None:
    """Fill what is left to fill, or this process's share of it."""
    start = perf_counter()
    team = process_group()
    rank, world = (team.process_index, team.num_processes) if team else (0, 1)
    with ExitStack() as stack:
        pairing = pair_job(job)
        if rank == 0:
            stack.enter_context(prepare_output(job, pairing, notify))
        if team:
            team.wait_for_everyone()
        plan = survey_job(job, pairing, retry_failed=retry_failed)
        tallies = [fill_items(job, plan[rank::world], workers, notify, quiet=rank > 0)]
        if team:
            from accelerate.utils import gather_object

            tallies = gather_object(tallies)
            team.destroy_process_group()
            if rank > 0:
                return None
    return make_report(job, pairing, plan, tallies, perf_counter() - start)


def make_report(
    job: FolderJob,
    pairing: Pairing,
    plan: Sequence[JobItem],
    tallies: Sequence[Tally],
    seconds: float,
) -> FolderReport:
    """Return what all processes have done together."""
    failed = dict(pairing.alone) | dict(pairing.unread)
    for tally in tallies:
        failed |= tally.failed
    return FolderReport(
        job.output,
        sum(tally.filled for tally in tallies),
        sum(tally.kept for tally in tallies),
        dict(sorted(failed.items())),
        sorted(name for tally in tallies for name in tally.untouched),
        pairing.unused,
        sum(tally.noted for tally in tallies),
        next((tally.stopped for tally in tallies if tally.stopped), ""),
        seconds,
        plan,
    )


def process_group() -> Any:
    """Return Accelerate's state where several processes share the job, or None.

    They exchange messages alone, over the CPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    from accelerate import PartialState

    return PartialState(cpu=True, timeout=timedelta(days=30))  # one may have much more to do


@contextmanager
def prepare_output(job: FolderJob, pairing: Pairing, notify: Notify) -> Iterator[None]:
    """Lock the output folder, repair the ledger, and remove partial files at the end."""
    try:
        job.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(job.output, error) from error
    folders = {job.output_path(each.name).parent for each in pairing.pairs}
    with ledger.lock_folder(job.output):
        if damage := ledger.repair_ledger(job.output):
            notify(damage)
        try:
            yield
        finally:  # of workers that were killed, too
            for folder in filter(Path.is_dir, folders):
                sweep_folder(folder)


def fill_items(
    job: FolderJob,
    items: Sequence[JobItem],
    workers: int,
    notify: Notify,
    *,
    quiet: bool,
) -> Tally:
    """Fill those `items` that are open, and record each in the ledger as it ends."""
    todo = [item for item in items if item.open]
    tally = Tally(
        kept=sum(item.state == "done" and not item.untouched for item in items),
        untouched=[item.pair.name for item in items if item.untouched],
        failed={item.pair.name: item.error for item in items if item.state == "failed"},
    )
    if not todo:
        return tally
    bar = tqdm(
        total=len(items),
        initial=len(items) - len(todo),
        unit="photo",
        file=sys.stderr,
        dynamic_ncols=True,
        disable=quiet or None,  # None: off where there is no terminal
    )
    begin, how = partial(start_filling, job, workers), ""
    identity = folder_identity(job.output)
    network = job.model.path is not None
    slow = ["inpaint_cli.models.network" if network else __name__]  # to import
    outcomes = run_in_workers(begin, todo, min(workers, len(todo)), preload=slow)
    with ledger.open_ledger(job.output) as book, bar, closing(outcomes):
        for item, outcome in outcomes:
            outcome = outcome or killed_outcome(job, item)
            entry = outcome.entry
            if outcome.how and not how and not quiet:
                how = outcome.how
                notify(how)
            try:
                if outcome.full:
                    raise InpaintError(entry.error)
                if folder_identity(job.output) != identity:
                    raise InpaintError(f"{job.output} was moved or removed; bring it back")
                book.add(entry)
            except InpaintError as error:
                tally.stopped = str(error)
                break
            if entry.error:
                tally.failed[entry.name] = entry.error
                bar.set_postfix(failed=len(tally.failed), refresh=False)
            elif entry.untouched:
                tally.untouched.append(entry.name)
            else:
                tally.filled += 1
                tally.noted += bool(entry.notes)
            bar.update()
    return tally


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells the folder from another of its name, or None where there is none."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def killed_outcome(job: FolderJob, item: JobItem) -> ItemOutcome:
    error = (
        f"the process that filled {item.pair.photo} was killed (out of memory?); try fewer"
        " --workers or a smaller --window"
    )
    return ItemOutcome(LedgerEntry(item.pair.name, job.settings, None, None, item.made, error))


def start_filling(job: FolderJob, workers: int) -> Callable[[JobItem], ItemOutcome]:
    """Load the model, in one of some `workers` of this process, and return what fills a photo."""
    if (crowd := workers * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) > 1:
        limit_threads(max(1, (os.cpu_count() or 1) // crowd))
    model = load_model(job.model, device=job.run.device, precision=job.run.precision)
    how = "\n".join([describe_run(model), *model.notes])
    return partial(attempt_item, job, model, how, job.settings)


def attempt_item(
    job: FolderJob, model: LoadedModel, how: str, settings: str, item: JobItem
) -> ItemOutcome:
    """Fill one photo; whatever goes wrong becomes its outcome."""
    start, pair = perf_counter(), item.pair
    entry = LedgerEntry(pair.name, settings, None, None, item.made)
    try:
        entry = replace(
            entry, photo=FileStamp.of(pair.photo), mask=pair.mask and FileStamp.of(pair.mask)
        )
        read = files_of_finders(job.hole, pair.photo)
        entry = replace(entry, files={str(path): FileStamp.of(path) for path in read})
        result, notes, found = fill_item(job, model, item)
        entry = replace(
            entry,
            made=FileStamp.of(item.output),
            seconds=round(perf_counter() - start, 4),
            notes=tuple(notes),
            found=found,
            untouched=not result.hole,
        )
        return ItemOutcome(entry, how)
    except (InpaintError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = str(error)
        if isinstance(error, OSError):
            why = f"{error.filename or pair.photo} cannot be read: {error.strerror or error}"
        full = isinstance(cause, OSError) and cause.errno in DISK_FULL
        lasting = isinstance(error, ImageError) and entry.photo is not None
        return ItemOutcome(replace(entry, error=why, lasting=lasting), how, full)
    except Exception as error:
        bug = f"unexpected error while filling {pair.photo}; please report it: {error!r}"
        return ItemOutcome(replace(entry, error=bug, notes=(traceback.format_exc(),)), how)


def fill_item(
    job: FolderJob, model: LoadedModel, item: JobItem
) -> tuple[FillResult, Sequence[str], Mapping[str, float]]:
    """Fill one photo into its file, and write its card.

    Return the outcome, all notes, and what finders found.

    A file that exists already and that the ledger does not know may be what a killed job has
    finished last: it stays if it is what would be written, and otherwise it is an error.
    """
    photo, hole = mark_photo(images.read_photo(item.pair.photo), item.pair.mask, job.hole)
    foreign = not (job.overwrite or item.made) and item.output.exists()
    with TemporaryDirectory() if foreign else nullcontext() as folder:
        output = Path(folder, item.output.name) if folder else item.output
        verify = job.verify or job.card
        filled = fill_photo(model, photo, hole, run=job.run)
        result = filled.save(output, overwrite=True, verify=verify, quality=job.quality)
        if foreign and output.read_bytes() != item.output.read_bytes():
            raise InpaintError(
                f"{item.output} exists already and this job did not create it; use --overwrite,"
                " or give another -o"
            )
    if job.card:
        write_card(filled, result, item.pair.photo, item.pair.mask, output=item.output)
    return result, [*photo.notes, *hole.notes, *result.notes], hole.found
