"""Trainings listed and compared; trackers; processes that others start; without downloads."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import tracking
from click.testing import CliRunner
from filelock import FileLock
from places import SUPPORT
from toy import photos

import inpaint_cli
from inpaint_cli import registry
from inpaint_cli.cli import main
from inpaint_cli.errors import DataError, InpaintError, TrainingError
from inpaint_cli.layers.backbones import stand_in_backbones
from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.runtime import slurm
from inpaint_cli.training import trackers
from inpaint_cli.training.build import build_training
from inpaint_cli.training.folder import RunFolder, read_log
from inpaint_cli.training.run import default_workers
from inpaint_cli.training.runs import list_runs


@pytest.fixture
def go(toy_recipe, tmp_path, monkeypatch):
    """Train the toy into a folder below `runs`."""
    photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)

    def train(name, *changes, **options):
        changes = ("every.validate=2", *changes)
        return inpaint_cli.train(
            "toy", toy_recipe, "photos", run=f"runs/{name}", set=changes, workers=0, **options
        )

    return train


def inpaint(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_runs_are_listed_with_state_step_and_best_score(go, monkeypatch):
    with pytest.raises(DataError, match="runs has no trainings"):
        inpaint_cli.list_runs()
    go("whole")
    go("early", "architectures.toy.task.l1=0.5", "seed=3")
    log = RunFolder(Path("runs/early")).log
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))  # stopped after a while
    early, whole = inpaint_cli.list_runs()
    assert (whole.state, whole.step, whole.steps, whole.architecture) == ("finished", 10, 10, "toy")
    assert (early.state, early.step) == ("stopped", read_log(log)[-1]["step"])
    (name, best), *_ = whole.best.items()
    scores = [e["scores"][name] for e in read_log(Path("runs/whole/log.jsonl")) if "scores" in e]
    assert best == max(scores)
    with FileLock("runs/early/.running"):
        states = [run["state"] for run in json.loads(inpaint("runs", "--json").stdout)]
    assert states == ["running", "finished"]
    shown = inpaint("runs").stdout
    assert re.search(rf"whole +finished +10 of 10 +{name} [\d.]+ at step \d+", shown)
    compared = inpaint("runs", "runs/whole", "runs/early", "-o", "both.html")
    assert re.search(r"architectures\.toy\.task\.l1 +1\.0 +0\.5", compared.stdout)
    assert re.search(r"seed +0 +3", compared.stdout)
    assert "batch" not in compared.stdout, "what is the same is not shown"
    assert compared.stdout.endswith("both.html\n")
    page = Path("both.html").read_text()
    assert page.count("<polyline") > 6
    assert "fill/l1" in page
    with pytest.raises(DataError, match="photos is no folder of a training"):
        inpaint_cli.compare_runs(["runs/whole", "photos"])


def test_listing_runs_imports_no_torch(tmp_path):
    script = "import sys; from inpaint_cli.training import runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_one_process_trains_in_a_folder(go):
    go("one")
    with FileLock("runs/one/.running"), pytest.raises(TrainingError, match="another process"):
        go("one", "architectures.toy.stages.fill.steps=8", resume=True, allow_changes=True)
    go("one", "architectures.toy.stages.fill.steps=8", resume=True, allow_changes=True)
    assert not Path("runs/one/.running").exists()


def test_a_training_ends_when_its_score_becomes_no_better(go, monkeypatch, capsys):
    values = iter([5.0, 7.0, 6.0, 7.0, 9.0])
    monkeypatch.setattr(
        "inpaint_plugins.metrics.pixels.PSNR.over", lambda self, scores: next(values, 1.0)
    )
    changes = ("metrics=[psnr]", "patience=2", "every.validate=1")
    outcome = go("early", *changes)
    assert not outcome.interrupted
    (summary,) = inpaint_cli.list_runs("runs/early")
    assert (summary.state, summary.step, summary.best, summary.best_step) == (
        "finished",
        4,
        {"psnr": 7.0},
        2,
    )
    assert "ended after step 4 of 10: no better score in 2 validations" in capsys.readouterr().err
    assert go("early", *changes, resume=True).done == 4, "it is not taken up again"
    values = iter([8.0, 8.0, 8.0])
    assert go("early", *changes[:1], "patience=3", resume=True, allow_changes=True).done > 4


class Board(tracking.GeneralTracker):
    """A tracker that remembers; `fails` is what its server does not take."""

    name, requires_logging_directory, fails = "board", True, ()

    def __init__(self, project, logging_dir, **options):
        super().__init__()
        self.seen, self.given = [], (project, logging_dir, options)
        type(self).last = self

    tracker = property(lambda self: self.seen)

    def note(self, what, values, step=None):
        if what in self.fails:
            raise ConnectionError("the server is down")
        self.seen.append((what, step, values))

    def store_init_configuration(self, values):
        self.note("settings", values)

    def log(self, values, step=None, **_):
        self.note("log", values, step)

    def log_images(self, values, step=None, **_):
        self.note("picture", values, step)

    def finish(self):
        self.note("finish", {})


@pytest.fixture
def board(monkeypatch):
    kind = type("Board", (Board,), {})
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "board", kind)
    monkeypatch.setattr(trackers, "find_spec", lambda name: name == "board" or None)
    return kind


def test_a_tracker_is_given_rates_speed_norms_and_pictures(go, board):
    go("tracked", track=["board"])
    settings, *rest = board.last.seen
    assert settings[2]["architectures.toy.stages.fill.clip"] == "1.0"
    logged = {name for what, _, values in rest if what == "log" for name in values}
    assert {"train/losses/fill/l1", "train/rates/critic", "train/images_per_second",
            "train/norms/prior", "train/norms/critic", "validation/scores/ssim"} - logged <= {
        "train/norms/prior"}  # fmt: skip
    (_, step, picture), *_ = [entry for entry in rest if entry[0] == "picture"]
    assert step == 2
    assert picture["samples"].ndim == 4
    assert picture["samples"].dtype == np.uint8
    assert rest[-1][0] == "finish"
    norms = [e["norms"] for e in read_log(Path("runs/tracked/log.jsonl")) if "norms" in e]
    assert all(value > 0 for each in norms for value in each.values())


def test_mlflow_is_given_pictures_and_runs_of_one_project(go, board, monkeypatch):
    pictures = []
    fake = SimpleNamespace(log_image=lambda pixels, file: pictures.append((pixels.shape, file)))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "mlflow", board)
    monkeypatch.setattr(trackers, "find_spec", lambda name: fake)
    for name in trackers.PATIENCE:
        monkeypatch.setenv(name, "1")
    go("tracked", track=["mlflow"])
    assert board.last.given == ("inpaint", "runs/tracked", {"run_name": "tracked"})
    assert pictures[0][1] == "samples/00000002.png"
    assert all(len(shape) == 3 for shape, _ in pictures)
    assert "picture" not in {what for what, *_ in board.last.seen}


@pytest.mark.parametrize("fails", ["settings", "log", "picture", "finish"])
def test_a_tracker_that_is_down_is_said_once_and_the_training_goes_on(go, board, fails, capsys):
    board.fails = (fails,)
    assert go("down", track=["board", "wandb"]).done == 10
    told = capsys.readouterr().err
    assert told.count("--track board: the server is down; training without it") == 1
    assert told.count("--track wandb: the package wandb is not installed") == 1


def test_an_unknown_tracker_is_refused_before_anything(go, capsys):
    with pytest.raises(InpaintError, match="no tracker named 'wandbb'; did you mean 'wandb'"):
        go("none", track=["wandbb"])
    assert not Path("runs").exists()


def test_a_service_is_offline_without_a_key_or_an_answer(monkeypatch, tmp_path):
    service = trackers.SERVICES["wandb"]
    monkeypatch.delenv("INPAINT_OFFLINE", raising=False)
    monkeypatch.delenv(service.key, raising=False)
    calls = []

    def connect(address, timeout):
        calls.append(address)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert not trackers.is_reachable(service)
    assert not calls, "without a key nobody is asked"
    (Path.home() / ".netrc").write_text(f"machine {service.host} login user password x\n")
    (Path.home() / ".netrc").chmod(0o600)
    assert not trackers.is_reachable(service)
    assert calls == [(service.host, 443)]


def test_a_log_that_is_redirected_has_no_control_characters(go, toy_recipe):
    command = ["train", "toy", toy_recipe, "--data", "photos", "--run", "runs/log"]
    text = inpaint(*command, "--workers", "0").stderr_bytes
    assert b"step 10 of 10" in text
    assert not [byte for byte in text if byte < 32 and byte != 10]


def environment(place, **more):
    path = os.pathsep.join([str(place / "site"), str(SUPPORT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "INPAINT_OFFLINE": "1"} | more


def slurm_variables(n):
    return {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_PROCID": str(n),
            "SLURM_LOCALID": str(n), "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost"}  # fmt: skip


@pytest.mark.ddp
@pytest.mark.slow  # two starts of PyTorch for each; torchrun is tested at every run
@pytest.mark.parametrize("launcher", ["srun", "accelerate"])
def test_launchers_start_two_processes_that_train_together(go, toy_recipe, tmp_path, launcher):
    options = ["--data", "photos", "--run-folder", "runs/two", "--workers", "0"]
    line = ["-m", "inpaint_cli", "train", "toy", str(toy_recipe), *options]
    if launcher == "srun":
        lines = [[sys.executable, *line]] * 2
    else:
        module = "accelerate.commands.launch"
        lines = [[sys.executable, "-m", module, "--multi_gpu", "--num_processes", "2", *line]]
    processes = [
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path, **slurm_variables(n) if launcher == "srun" else {}),
        )
        for n, command in enumerate(lines)
    ]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert not any(process.returncode for process in processes), told
    assert "".join(told).count("training in 2 processes") == 1
    assert inpaint_cli.list_runs("runs/two")[0].state == "finished"


def test_a_script_of_sbatch_is_no_process_of_a_step(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    for name in ("RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    slurm.join_slurm()
    assert "RANK" not in os.environ
    assert [slurm.first_host(nodes) for nodes in ("gpu[03-05,9],b", "a1,a2", "n[7,9]-x")] == [
        "gpu03",
        "a1",
        "n7-x",
    ]


@pytest.mark.parametrize("recipe", ["smoke", "faces-small"])
def test_every_architecture_trains_by_them_without_a_download(recipe):
    settings, source = open_recipe(recipe)
    for name in registry.find_plugins("architectures"):
        architecture = registry.load_plugin("architectures", name)
        if architecture.task is None:  # which also imports its modules, whose constants are real
            continue
        with torch.device("meta"), stand_in_backbones() as missing:
            build_training(name, settings, source)
        assert not missing, name


def test_loaders_are_as_many_as_there_are_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert default_workers() == 6
    assert default_workers(0) == 0
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers() == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert default_workers() == 8


def test_the_paper_to_cite_is_shown():
    shown = inpaint("models", "show", "spn-p").stdout
    assert "Learned Semantic Pyramid, arXiv 2112.04107" in shown
    assert re.search(r"@article\{zhang2023fully,\n.*author = \{Zhang, Wendong", shown, re.DOTALL)
    for name in registry.find_plugins("architectures"):
        citation = registry.load_plugin("architectures", name).citation
        assert citation.startswith("@") or name in ("gaussian", "portrait"), name
        assert citation.count("{") == citation.count("}")
    assert json.loads(inpaint("models", "show", "telea", "--json").stdout)["ready"]
    assert "did you mean 'pconv'" in inpaint("models", "show", "pconf").output


@pytest.mark.parametrize("text", ["!!timestamp x", "!!int ''", "!!bool x", "[" * 3000, "\xff"])
def test_a_damaged_recipe_of_a_run_is_a_sentence(tmp_path, text):
    (tmp_path / "log.jsonl").touch()
    (tmp_path / "recipe.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"recipe\.yaml cannot be read"):
        list_runs(tmp_path)
