"""Kill commands at random moments and start them again: is anything torn, foreign, or left over?

`python benchmarks/kills.py [--kills 300] [--seed 0]`

Each command runs in a fork of this process, is killed after a random part of the time that it
takes, and is started again as its own message says, a few times; then it runs to its end. The
result must be that of an unbroken run, files of others must stay, and nothing may lie beside them.
Every rename of a finished file is slowed down, so that many kills hit a file being written.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from spandrel.architectures.LaMa import LaMa
from table import record
from tqdm import tqdm

from inpaint_cli.cli import main as inpaint
from inpaint_cli.files.fetch import PublishedFile
from inpaint_cli.files.write import TEMPORARY
from inpaint_cli.models import catalogue
from inpaint_cli.models.weights import read_tensors

VARYING = {  # they hold times
    *("ledger.jsonl", "log.jsonl", "report.html", "recipe.yaml", "result.json", "terms-shown.json")
}
FOREIGN = {".cat-20240101.png": b"mine", "mine.txt": b"mine", ".a.inpaint-2024.png": b"mine"}
CONTENT = bytes(range(256)) * 200_000  # of a published file: 51 MB
PUBLISHED = PublishedFile("made.pt", "http://localhost/", len(CONTENT), sha256(CONTENT).hexdigest())
MOST = 5  # kills of one run, before it may end


@dataclass(frozen=True)
class Command:
    """Arguments, the folder or file that they write, and how they are given again after a kill."""

    name: str
    line: Sequence[str]
    output: str
    again: Callable[[Path, Sequence[str]], Sequence[str]] = lambda place, line: line
    shared: bool = False  # whether files of others may lie in the folder from the start


@dataclass
class Account:
    """What was seen of a command."""

    kills: int = 0
    writing: int = 0  # kills while a file was being written
    faults: list[str] = field(default_factory=list)


def resumed(place: Path, line: Sequence[str]) -> Sequence[str]:
    return [*line, "--resume"] if (place / "run").exists() else line


COMMANDS = [
    Command("infer", ["infer", "photos", "--masks", "masks", "-o", "out", "--model", "telea"],
            "out", shared=True),
    Command("masks gen", ["masks", "gen", "--count", "60", "--size", "128", "-o", "set"], "set"),
    Command("masks gen --overwrite", ["masks", "gen", "--count", "30", "--size", "96", "-o", "old",
                                      "--overwrite"], "old", shared=True),
    Command("masks rebuild", ["masks", "rebuild", "old/masks.jsonl", "-o", "again"], "again"),
    Command("train", ["train", "gated", "smoke", "--data", "photos", "--run", "run", "--workers",
                      "0", "--set", "architectures.gated.stages.fill.steps=6", "--set",
                      "every.save=1"], "run", again=resumed),
    Command("weights convert", ["weights", "convert", "lama.pt", "--to", "lama", "-o",
                                "new/l.safetensors"], "new", shared=True),
    Command("models get", ["models", "get", "made", "--from", "shop"], "data"),
    Command("fill", ["fill", "photos/0.png", "--mask", "masks/0.png", "--model", "ns", "-o",
                     "one/a.png"], "one", shared=True),
    Command("eval", ["eval", "photos", "photos", "--masks", "masks", "--features", "none", "-o",
                     "scores"], "scores", shared=True),
]  # fmt: skip


def prepare(place: Path) -> None:
    """Photos, masks, an earlier set of masks, a checkpoint."""
    chance = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (place / folder).mkdir(parents=True)
    for n in range(12):
        levels = chance.integers(0, 255, (12, 12, 3), np.uint8)
        Image.fromarray(levels).resize((96, 80)).save(place / "photos" / f"{n}.png")
        hole = np.zeros((80, 96), np.uint8)
        hole[20:50, 30 + n : 60 + n] = 255
        Image.fromarray(hole).save(place / "masks" / f"{n}.png")
    run(["masks", "gen", "--count", "40", "--size", "64", "-o", "old"], place)
    with torch.device("meta"):
        wanted = LaMa(in_nc=4, out_nc=3).state_dict()  # in the layout of its authors
    ones = {name: torch.full(like.shape, 0.01).half() for name, like in wanted.items()}
    torch.save(ones, place / "lama.pt")
    (place / "shop").mkdir()
    (place / "shop" / PUBLISHED.name).write_bytes(CONTENT)


def run(line: Sequence[str], place: Path, pause: float = 0.0) -> int:
    """Start `inpaint` in a fork; return its process."""
    pid = os.fork()
    if pid:
        return pid if pause else os.waitpid(pid, 0)[1] >> 8
    try:
        os.chdir(place)
        os.environ["XDG_DATA_HOME"] = str(place / "data")
        tqdm.set_lock(threading.RLock())
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        rename = Path.replace

        def slowed(path: Path, target: Path) -> Path:
            time.sleep(pause)
            return rename(path, target)

        Path.replace = slowed
        inpaint(list(line), prog_name="inpaint")
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else 1)
    finally:
        os._exit(70)


def contents(folder: Path) -> dict[str, str]:
    """A hash of each file; of weights, of their tensors."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.name in VARYING or path.suffix == ".pt":
            found[name] = ""
        elif path.suffix == ".safetensors":
            tensors = read_tensors(path)
            digest = sha256()
            for key in sorted(tensors):
                digest.update(key.encode() + tensors[key].numpy().tobytes())
            found[name] = digest.hexdigest()
        else:
            found[name] = sha256(path.read_bytes()).hexdigest()
    return found


def attack(command: Command, inputs: Path, whole: dict[str, str], seconds: float,
           chance: random.Random, account: Account) -> None:  # fmt: skip
    """Kill a run a few times, let it end, and compare."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / "place"
        shutil.copytree(inputs, place)
        output = place / command.output
        foreign = FOREIGN if command.shared else {}
        output.mkdir(exist_ok=True) if foreign else None
        for name, data in foreign.items():
            (output / name).write_bytes(data)
        line = command.line
        for _ in range(chance.randint(1, MOST)):
            pid = run(line, place, pause=0.05)
            time.sleep(chance.uniform(0, seconds))
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            account.kills += 1
            hidden = [path.name for path in place.rglob(".*")]
            left = [n for n in hidden if TEMPORARY.fullmatch(n) or n.endswith(".part")]
            account.writing += bool(left)
            line = command.again(place, command.line)
        code = run(line, place)
        after = contents(output)
        expected = whole | {name: sha256(data).hexdigest() for name, data in foreign.items()}
        if after != expected:
            changed = sorted(k for k in {*after, *expected} if after.get(k) != expected.get(k))
            account.faults.append(f"{command.name}: exit {code}, differing: {changed[:4]}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="COMMAND", help="print what one command leaves")
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = catalogue.PublishedModel("made", "made for this", "MIT", "nothing", files=(PUBLISHED,))
    catalogue.read_catalogues = lambda: ({"made": made}, [])
    chance = random.Random(options.seed)
    accounts = {command.name: Account() for command in COMMANDS}
    with TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        prepare(inputs)
        for command in (c for c in COMMANDS if options.only in (None, c.name)):
            account = accounts[command.name]
            place = Path(folder) / "whole"
            shutil.copytree(inputs, place)
            start = time.perf_counter()
            pid = run(command.line, place, pause=0.05)
            os.waitpid(pid, 0)
            seconds = time.perf_counter() - start
            whole = contents(place / command.output)
            shutil.rmtree(place)
            assert whole, command.name
            while account.kills < options.kills / len(COMMANDS):
                attack(command, inputs, whole, seconds, chance, account)
            print(command.name, account, file=sys.stderr, flush=True)
    if options.only:
        return
    text = [
        "| command | kills | while a file was written | faults |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, account in accounts.items():
        text.append(f"| `{name}` | {account.kills} | {account.writing} | {len(account.faults)} |")
    faults = [fault for account in accounts.values() for fault in account.faults]
    total = sum(a.kills for a in accounts.values()), sum(a.writing for a in accounts.values())
    text += ["", f"{total[0]} kills, {total[1]} of them while a file was written; faults are torn,"
             f" foreign or left files and other results: {len(faults)}.", *faults]  # fmt: skip
    record("kills", "Kills at random moments", "\n".join(text),
           command=f"python benchmarks/kills.py --kills {options.kills}")  # fmt: skip


if __name__ == "__main__":
    main()
