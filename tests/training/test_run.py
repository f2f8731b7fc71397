"""What surrounds the loop: cut anywhere and resumed to the same bits, and what it leaves."""

import hashlib
import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from accelerators import forget_accelerator
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from server import open_shop
from toy import Toy, ToyTask, photos
from toy_runs import go, same, tensors

from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError, TrainingError, WeightsError
from inpaint_cli.models import weights
from inpaint_cli.recipe import schema
from inpaint_cli.recipe.read import read_recipe
from inpaint_cli.recipe.schema import Ema
from inpaint_cli.sharing import publish_weights
from inpaint_cli.training import run, stopping
from inpaint_cli.training.checkpoint import load_matching, read_state, write_state
from inpaint_cli.training.ema import AveragedNetwork
from inpaint_cli.training.folder import RunFolder, read_log
from inpaint_cli.training.log import RunLog


def cut(folder, step):
    """Leave in `folder` what a run killed after `step` would have left."""
    for path in RunFolder(folder).states():
        if int(path.stem.split("-")[1]) > step:
            path.unlink()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("precision", ["full", "bf16"])
def test_a_run_cut_anywhere_ends_with_the_same_bits(toys, precision, workers):
    changes = [f"precision={precision}", "accumulate=2"]
    outcome = go(toys, "whole", *changes, workers=workers)
    assert (outcome.done, outcome.interrupted) == (10, False)
    whole = tensors("whole")
    log = [line["step"] for line in read_log(Path("whole/log.jsonl")) if line["event"] == "train"]
    assert log == sorted(set(log))
    for step in (1, 4, 7) if workers == 0 else (4, 5):
        cut(Path("whole"), step)
        go(toys, "whole", *changes, workers=2 - workers, resume=True)
        same(tensors("whole"), whole)
        again = [
            line["step"] for line in read_log(Path("whole/log.jsonl")) if line["event"] == "train"
        ]
        assert again == sorted(set(again))


def test_what_a_run_leaves(toys):
    outcome = go(toys, "run", "every.validate=5", "every.save=5", "keep.last=2")
    folder = outcome.folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("recipe.yaml", "log.jsonl", "report.html", "sheets"),
        *("weights.safetensors", "best.safetensors"),
        *("state-00000005.pt", "state-00000010.pt"),
        *("weights-00000005.safetensors", "weights-00000010.safetensors"),
    }
    resolved = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert resolved["architectures"]["toy"]["task"]["momentum"] == 0.9
    assert (folder / "recipe.yaml").read_text().startswith("# inpaint-cli ")
    events = read_log(folder / "log.jsonl")
    assert [e["step"] for e in events if e["event"] == "train"] == [2, 4, 5, 6, 8, 10]
    scores = [e["scores"] for e in events if e["event"] == "validation"]
    assert [set(s) for s in scores] == [{"psnr-hole", "l1-hole", "ssim"}] * 2
    model = weights.read_weights(folder / "weights.safetensors")
    assert model.header["step"] == "10"
    assert model.header["licence"] == "that of the training images"
    assert model.header["recipe"] == "a toy, to see that everything runs"
    average = {k[8:]: v for k, v in tensors(folder).items() if k.startswith("average.")}
    same(load_file(folder / "weights.safetensors"), average)
    best = max(scores, key=lambda s: s["psnr-hole"])["psnr-hole"]
    header = weights.read_weights(folder / "best.safetensors").header
    assert float(header["psnr-hole"]) == pytest.approx(best, rel=1e-5)
    with Image.open(folder / "sheets" / "00000010.png") as sheet:
        assert sheet.width > 4 * 256
    assert "fill/l1" in (folder / "report.html").read_text()


def test_the_recipe_it_leaves_can_be_run_again(toys):
    go(toys, "one")
    plan, source = read_recipe(Path("one/recipe.yaml"))
    options = run.TrainOptions(data=toys / "photos", folder=Path("two"), workers=0)
    run.run_training("toy", plan, source, options)
    same(tensors("one"), tensors("two"))


def test_another_recipe_or_other_data_are_refused(toys, tmp_path):
    go(toys, "run")
    cut(Path("run"), 6)
    with pytest.raises(TrainingError, match="already has a training; continue it with --resume"):
        go(toys, "run")
    changed = "architectures.toy.stages.fill.clip=2"
    told = r"began with other settings \(architectures.toy.stages.fill.clip: was 1.0, is 2.0\)"
    with pytest.raises(TrainingError, match=told):
        go(toys, "run", changed, resume=True)
    with pytest.raises(TrainingError, match=r"data.images: was 9, is 3; data.names: was"):
        go(toys, "run", resume=True, data=photos(tmp_path / "few", 6))
    assert go(toys, "run", changed, resume=True, allow_changes=True).done == 10
    assert (
        yaml.safe_load(Path("run/recipe.yaml").read_text())["architectures"]["toy"]["stages"][
            "fill"
        ]["clip"]
        == 2
    )
    with pytest.raises(TrainingError, match="there is no run nowhere to resume"):
        go(toys, "nowhere", resume=True)


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "best.safetensors", "recipe.yaml", "log.jsonl", "notes.txt",
     "weights-00000000-mine.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("resume", [False, True])
def test_files_of_others_are_not_replaced(toys, name, resume):
    """A run of whose states somebody made room keeps its weights, too."""
    Path("run").mkdir()
    Path("run", name).write_text("mine")
    with pytest.raises(TrainingError, match=r"is not empty|has no state to resume from"):
        go(toys, "run", resume=resume)
    assert {path.name: path.read_text() for path in Path("run").iterdir()} == {name: "mine"}


@pytest.mark.parametrize(
    "left",
    [
        (".running",),
        ("recipe.yaml", "log.jsonl", ".running"),
        ("recipe.yaml", "log.jsonl", ".running", "weights.safetensors", "best.safetensors",
         "weights-00000008.safetensors", "report.html", "sheets"),
    ],
)  # fmt: skip
def test_a_run_killed_before_its_first_save_begins_anew(toys, left):
    go(toys, "run")
    whole = tensors("run")
    Path("run", ".running").touch()
    for path in Path("run").iterdir():
        if path.name not in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(TrainingError, match="already has a training; continue it with --resume"):
        go(toys, "run")
    go(toys, "run", resume=True)
    same(tensors("run"), whole)


def test_only_names_of_its_own_are_pruned_or_resumed_from(toys):
    go(toys, "run")
    cut(Path("run"), 6)
    mine = {"state-mine.pt", "weights-00000000-mine.safetensors", "state-1.pt"}
    for name in mine:
        Path("run", name).write_text("mine")
    go(toys, "run", resume=True)
    assert mine <= {path.name for path in Path("run").iterdir()}


def test_lines_of_others_in_the_log_stay_and_do_no_harm(toys):
    go(toys, "run")
    cut(Path("run"), 6)
    log, foreign = (
        Path("run/log.jsonl"),
        ["a note", "[]", '{"step": 3}', '{"event": 1, "step": ""}'],
    )
    log.write_text("\n".join([*foreign, log.read_text()]))
    go(toys, "run", resume=True)
    assert log.read_text().split("\n")[:4] == foreign
    assert all({"event", "step"} <= event.keys() for event in read_log(log))


def test_a_loss_that_is_not_finite_stops_it_by_name(toys):
    told = r"step 7, stage 'fill': the loss fill/l1 is inf; the last saved state is good"
    with pytest.raises(TrainingError, match=told):
        go(toys, "run", "architectures.toy.task.explode=2")
    assert read_state(RunFolder(Path("run")).states()[-1])["done"] == 6
    assert all(v.isfinite().all() for v in tensors("run").values() if v.is_floating_point())


def test_weights_that_are_not_finite_are_not_saved(toys, monkeypatch):
    """Such as an infinite gradient leaves them, before any loss shows it."""
    after, calls = ToyTask.after, []

    def spoil(self, *args):
        after(self, *args)
        calls.append(self)
        if len(calls) == 3:
            self.net.prior.bias.fill_(torch.nan)

    monkeypatch.setattr(ToyTask, "after", spoil)
    with pytest.raises(
        TrainingError, match=r"step 3, stage 'prior': net.prior.bias is no longer finite"
    ):
        go(toys, "run")
    assert read_state(RunFolder(Path("run")).states()[-1])["done"] == 2


def test_a_new_run_begins_from_weights(toys, capsys):
    go(toys, "old")
    go(toys, "new", init=["old/weights.safetensors"])
    assert "old/weights.safetensors: 10 tensors matched, 0 missing, 0 unexpected" in (
        capsys.readouterr().err
    )
    torch.manual_seed(0)
    part = torch.nn.Conv2d(4, 8, 3, padding=1)
    weights.write_weights(Path("p.safetensors"), "toy", schema.Ema(), part)
    assert go(toys, "part", init=["prior=p.safetensors"]).done == 6
    assert "stage 'prior' is skipped" in capsys.readouterr().err
    same(
        {k: v for k, v in tensors("part").items() if k.startswith("task.net.prior")},
        {f"task.net.prior.{k}": v for k, v in part.state_dict().items()},
    )
    cut(Path("part"), 3)
    assert go(toys, "part", resume=True).done == 6  # still without the stage that was skipped
    equal = Path("lr=1")
    Path("old").rename(equal)
    go(toys, "equal", init=[f"{equal}/weights.safetensors"])
    go(toys, "both", init=["prior=lr=1/weights.safetensors"])
    assert "lr=1/weights.safetensors: 2 tensors matched, 0 missing" in capsys.readouterr().err
    with pytest.raises(InpaintError, match="toy has no part 'nose'"):
        go(toys, "other", init=["nose=p.safetensors"])


def test_a_full_disk_is_told_in_a_sentence(tmp_path):
    net, small = torch.nn.Linear(100, 100), tmp_path / "small.safetensors"
    weights.write_weights(small, "toy", schema.Ema(), torch.nn.Linear(10, 10))
    path, before = tmp_path / "new", resource.getrlimit(resource.RLIMIT_FSIZE)
    writers = [
        lambda: write_state(path, net.state_dict()),
        lambda: weights.write_weights(path, "toy", schema.Ema(), net),
        lambda: weights.export_weights(small, path, half=False, notes={}),
    ]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    with RunLog(tmp_path / "log.jsonl", done=0, steps=1) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
        try:
            for write in writers:
                with pytest.raises(InpaintError, match=r"new cannot .*File too large"):
                    write()
            log.note("train", 1, {"long": "x" * 300})
            with pytest.raises(InpaintError, match=r"log.jsonl cannot .*File too large"):
                log.note("train", 2, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name for path in tmp_path.iterdir()} == {"small.safetensors", "log.jsonl"}


def test_a_log_that_is_begun_again_is_never_half_a_log(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "train", "step": 1}\n{"event": "train", "step": 2}\n')
    whole = path.read_text()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        RunLog(path, done=1, steps=2)
    assert path.read_text() == whole
    monkeypatch.undo()
    with RunLog(path, done=1, steps=2) as log:
        log.note("train", 2, {"again": True})
    assert [line["step"] for line in read_log(path)] == [1, 2]


def test_weights_that_do_not_fit_are_refused():
    net = torch.nn.Linear(2, 3)
    state = net.state_dict()
    assert load_matching(net, {"weight": state["weight"], "x": state["bias"]}, "w") == [
        "w: 1 tensors matched, 1 missing, 1 unexpected",
        "  missing: bias",
        "  unexpected: x",
    ]
    with pytest.raises(
        WeightsError, match=r"weight has shape \[2\], but the network's has \[3, 2\]"
    ):
        load_matching(net, {"weight": torch.zeros(2)}, "w")
    with pytest.raises(WeightsError, match="no tensor of this network"):
        load_matching(net, {"x": torch.zeros(2)}, "w")


def test_a_stage_may_begin_from_the_averaged_network(toys):
    averaged = "architectures.toy.stages.fill.averaged=true"
    go(toys, "run", averaged)
    state = tensors("run", 4)
    assert torch.equal(state["task.net.prior.weight"], state["average.prior.weight"])
    whole = tensors("run")
    cut(Path("run"), 4)
    go(toys, "run", averaged, resume=True)
    same(tensors("run"), whole)


def test_a_report_is_there_before_the_end_and_after_a_stop(toys, monkeypatch):
    def stop(_, done):
        return done == 7

    monkeypatch.setattr(stopping.StopAgreement, "__call__", stop)
    go(toys, "run", "every.validate=4")
    page = Path("run/report.html").read_text()
    assert "7 of 10 steps" in page
    for title in ("Losses", "Validation", "Learning rates", "Speed", "Samples", "Recipe"):
        assert f"<h2>{title}</h2>" in page, title
    assert page.count('x="80.0"') == page.count("<svg")  # each begins at step 0


def test_off_a_terminal_there_is_a_line_an_interval(toys, capsys):
    go(toys, "run", "every.save=5")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    steps = [line.split(",")[0] for line in lines if " images/s" in line]
    assert steps == [f"step {n} of 10" for n in (2, 4, 5, 6, 8, 10)]


def test_equal_runs_write_equal_bytes(toys):
    for folder in ("one", "two"):
        go(toys, folder)
    for name in ("weights.safetensors", "best.safetensors"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_run_that_was_published_starts_another_by_its_name(toys, monkeypatch, capsys):
    go(toys, "one", "every.validate=5")
    publish_weights("one", "share", notes={"licence": "CC0-1.0", "trained_on": "toys"})
    card = Path("share/README.md").read_text("utf-8")
    assert '- Holes: {"kind": "boxes"' in card
    assert "In its validation during the training: " in card
    monkeypatch.delenv("INPAINT_OFFLINE")
    with open_shop() as shop:
        monkeypatch.setenv("HF_ENDPOINT", shop.url)
        shop.repositories["me/toy"] = {p.name: p.read_bytes() for p in Path("share").iterdir()}
        go(toys, "two", init=["hf:me/toy"])
    go(toys, "three", init=["one/best.safetensors"])
    same(tensors("two"), tensors("three"))
    said = "hf:me/toy: its weights: CC0-1.0, trained on toys (said once)"
    assert said in capsys.readouterr().err


def test_weights_say_where_they_come_from(toys):
    go(toys, "one")
    go(toys, "two", init=["one/weights.safetensors"])
    first, second = (
        weights.inspect_weights(Path(run, "weights.safetensors")).header for run in ("one", "two")
    )
    assert json.loads(first["masks"])["kind"] == "boxes"
    assert json.loads(first["train"])["split"] == "train"
    assert (first["images"], first["names"]) == (second["images"], second["names"])
    assert "upstream" not in first
    (upstream,) = json.loads(second["upstream"])
    sha256 = hashlib.sha256(Path("one/weights.safetensors").read_bytes()).hexdigest()
    assert upstream["sha256"] == sha256
    (note,) = weights.read_weights(Path("two/weights.safetensors")).notes
    assert f"started from: weights.safetensors (SHA-256 {sha256[:16]}), trained on files" in note
    cut(Path("two"), 6)
    go(toys, "two", resume=True)
    again = weights.inspect_weights(Path("two/weights.safetensors")).header
    assert again["upstream"] == second["upstream"]


@pytest.mark.parametrize("change", ["data.train.split=val", "data.train.split=all"])
def test_weights_that_were_trained_on_the_validation_are_refused(toys, change):
    if change.endswith("all"):
        change = "data={train: {kind: files}, val: {kind: files, split: val, hold: 3}, size: 32}"
    go(toys, "one", change)
    with pytest.raises(TrainingError, match=r"was trained on 3 images of this run's validation"):
        go(toys, "two", init=["one/weights.safetensors"])


def test_only_what_a_stage_trains_is_validated(toys, monkeypatch, capsys):
    """In stage `prior` a part of the network, or nothing; the best weights are of `fill` alone."""
    scores = {"psnr-hole", "l1-hole", "ssim"}
    part, each = (lambda visible, mask: visible + 0.5 * mask), "every.validate=2"
    for filler, named in ((part, {f"prior/{name}" for name in scores}), (None, set())):
        monkeypatch.setattr(
            ToyTask, "filler", lambda task, net, f=filler: net if task.stage == "fill" else f
        )
        folder = Path(f"run{len(named)}")
        go(toys, folder, each)
        events = [e for e in read_log(folder / "log.jsonl") if e["event"] == "validation"]
        by_stage = {e["stage"]: set(e["scores"]) for e in events}
        assert by_stage == {"prior": named, "fill": scores}
        assert int(weights.inspect_weights(folder / "best.safetensors").header["step"]) > 4
        sheets = {int(sheet.stem) for sheet in folder.glob("sheets/*.png")}
        assert sheets == ({2, 4, 6, 8, 10} if named else {6, 8, 10})
    assert "step 4: stage prior trains nothing that fills" in capsys.readouterr().err


def test_counts_of_a_stage_are_scored(toys, monkeypatch):
    """The sum over all images of the validation, of which there are three."""
    monkeypatch.setattr(ToyTask, "filler", lambda task, net: net if task.stage == "fill" else None)
    monkeypatch.setattr(
        ToyTask, "tally", lambda task, net, batch: torch.ones(2) if task.stage == "prior" else None
    )
    monkeypatch.setattr(ToyTask, "tally_scores", lambda task, total: {"seen": float(total[0])})
    go(toys, "run", "every.validate=4")
    events = [e for e in read_log(Path("run/log.jsonl")) if e["event"] == "validation"]
    assert next(e["scores"] for e in events) == {"prior/seen": 3}
    assert "seen" not in events[-1]["scores"]


def test_fills_that_hardly_differ_are_told(toys, monkeypatch, capsys):
    monkeypatch.setattr(Toy, "stochastic", True)
    go(toys, "run")  # dropout is off: both fills are the same
    scores = [e["scores"] for e in read_log(Path("run/log.jsonl")) if e["event"] == "validation"]
    assert scores[-1]["spread"] == 0
    assert "two fills of one hole hardly differ yet" in capsys.readouterr().err


def test_a_stage_averages_as_it_says(toys):
    go(toys, "run", "architectures.toy.stages.prior.decay=0", "ema.warmup=false")
    first, last = tensors("run", 4), tensors("run")
    assert torch.equal(first["task.net.prior.weight"], first["average.prior.weight"])
    assert not torch.equal(last["task.net.body.3.weight"], last["average.body.3.weight"])


def test_the_average_follows():
    net = torch.nn.Linear(1, 1)
    average = AveragedNetwork(net, Ema(decay=0.5, warmup=False))
    old = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1
    average.update(net, 1)
    assert torch.allclose(average.net.weight, old + 0.5)
    assert [AveragedNetwork(net, Ema(decay=0.9)).decay(n) for n in (0, 1, 1000)] == [
        0.1,
        2 / 11,
        0.9,
    ]
    at_once = AveragedNetwork(net, Ema(decay=0))
    with torch.no_grad():
        net.weight += 1
    at_once.update(net, 1)
    assert torch.equal(at_once.net.weight, net.weight)


def test_fp16_needs_a_gpu(toys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InpaintError, match="precision fp16 needs a CUDA device"):
        go(toys, "run", "precision=fp16")


def test_the_name_of_a_run_says_what_it_goes_without(toys, monkeypatch):
    monkeypatch.setattr("toy.ToyTask.without", lambda self: ["no-vgg"])
    outcome = go(toys, None)
    assert outcome.folder == Path("runs/toy-toy-no-vgg")
    assert (
        weights.read_weights(outcome.folder / "weights.safetensors").header["without"] == "no-vgg"
    )


def test_the_command_line(toys):
    def inpaint(*args):
        forget_accelerator()
        line = ["train", "toy", str(toys / "toy.yaml"), "--workers", "0", *args]
        return CliRunner().invoke(main, line, catch_exceptions=False)

    data = ("--data", str(toys / "photos"))
    assert "give the training images: --data PATH" in inpaint().output
    assert inpaint().exit_code == 2
    plan = inpaint(*data, "--dry-run").stdout
    assert "# net: 531 parameters" in plan
    assert "# stage fill: 6 steps of 2 images, 1.3 epochs of 9" in plan
    assert yaml.safe_load(plan)["architectures"]["toy"]["stages"]["fill"]["clip"] == 1
    assert inpaint(*data, "--check-data").exit_code == 0
    (toys / "photos" / "12.jpg").write_bytes(b"no")
    checked = inpaint(*data, "--check-data")
    (toys / "photos" / "12.jpg").unlink()
    assert checked.exit_code == 1
    assert checked.stdout.startswith("12.jpg is not a picture")
    assert "1 of 13 images cannot be read" in checked.stderr
    assert inpaint(*data, "--smoke", "1").stdout.endswith(
        "2 steps, saved, loaded, filled a picture\n"
    )
    done = inpaint(*data)
    assert done.stdout == "runs/toy-toy\n"
    masks = Path('it\'s "a\\b" \N{FRAME WITH PICTURE} \udce9')
    masks.mkdir()
    Image.new("1", (8, 8), 1).save(masks / "m.png")
    again = inpaint(*data, "--masks", str(masks), "--run", "masked", "--set", "masks.flip=false")
    assert again.exit_code == 0, again.output
    written = yaml.safe_load(Path("masked/recipe.yaml").read_text("utf-8"))["masks"]
    assert (written["kind"], written["path"]) == ("files", str(masks.resolve()))
    assert "this machine has" in inpaint(*data, "--gpus", "99").output
