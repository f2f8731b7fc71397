"""Recipes: every error at its line, every shipped one fit for every architecture it names."""

import json
import math
import pickle
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from toy import RECIPE, photos

from inpaint_cli import registry
from inpaint_cli.api.stages import Optimizer, Schedule, Stage, overlay_settings
from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError, RecipeError
from inpaint_cli.recipe import read as recipe
from inpaint_cli.training.build import build_training, check_recipe, check_section
from inpaint_cli.training.estimate import outline_training
from inpaint_cli.training.run import run_name

SHELF = [path for _, path in sorted(recipe.recipe_files().items())]


def inpaint(*args):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("lr: -1", "toy.yaml:17: architectures.toy.stages.prior.optimizer.lr: input should be gre"),
        ("lr: fast", "toy.yaml:17: architectures.toy.stages.prior.optimizer.lr: input should be a"),
        (
            "learning_rate: 1",
            "toy.yaml:17: architectures.toy.stages.prior.optimizer.learning_rate: no setting named "
            "'learning_rate'; known: betas, decays, eps, kind, lr, momentum, schedule, "
            "weight_decay",
        ),
        ("lr: 1, lr: 2", "toy.yaml:17: architectures.toy.stages.prior.optimizer.lr: the key occ"),
        ("lr: [", "toy.yaml:17: "),
        ("lr: *a", "toy.yaml:17: "),
        ("schedule: {kind: cosin}", "optimizer.schedule.kind: input should be 'constant'"),
    ],
)
def test_a_wrong_recipe_is_told_at_its_line(toy_recipe, change, told):
    toy_recipe.write_text(RECIPE.replace("lr: 1e-3", change))
    with pytest.raises(RecipeError) as error:
        recipe.read_recipe(toy_recipe)
    assert told in str(error.value)


def test_all_errors_are_told_at_once(toy_recipe):
    toy_recipe.write_text(RECIPE.replace("size: 32", "size: 0").replace("last: 20", "lasts: 20"))
    with pytest.raises(RecipeError) as error:
        recipe.read_recipe(toy_recipe)
    told = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in told] == ["data.size", "keep.lasts"]
    assert "no setting named 'lasts'; did you mean 'last'?" in told[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "summary: field required"),
        ("- a", "1: a recipe is a mapping such as `summary: ...`, not a list or a single value"),
        ("a: " + 3000 * "[", "1: nested too deeply"),
        ("a: &x [1]\nb: *x", "2: b: aliases cannot be used; write"),
        ("a: &x [*x]", "1: a.0: aliases cannot be used; write"),
        ("summary: 2020-13-45", "1: summary: '2020-13-45' is not a value"),
        ("{a: 1}: 2", "1: : a key must be a word"),
        ("\x00", "1: unacceptable character"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, told):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        recipe.read_recipe(path)
    assert told in str(error.value)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, told in (("binary.yaml", "UTF-8"), (".", "directory"), ("none.yaml", "No such")):
        with pytest.raises(RecipeError, match=told):
            recipe.read_recipe(tmp_path / name)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["tou"], "Error: no architecture named 'tou'; did you mean 'toy'?"),
        (
            ["toy", "--set", "architectures.toy.task.l2=1"],
            "Error: --set architectures.toy.task.l2=1: no setting named 'l2'; known: adversarial, "
            "explode, l1, momentum",
        ),
        (
            ["toy", "--set", "architectures.toy.stages.fil.steps=1"],
            "no stage named 'fil'; did you mean 'fill'?",
        ),
        (["toy", "--set", "batch"], "--set batch: write it as KEY=VALUE"),
        (["toy", "--set", "summary.x=1"], "'summary' has no settings of its own"),
        (["toy", "--set", "batch=["], "--set batch=[: the value is not YAML"),
        (["toy", "--set", "summary=2020-13-45"], "summary=2020-13-45: the value is not YAML"),
        (["toy", "--set", f"batch={3000 * '['}"], "[: nested too deeply"),
        (
            ["toy", "--set", "masks.kind=boxs"],
            "masks.kind=boxs: no mask named 'boxs'; did you",
        ),
        (["toy", "--set", "data.train.kind=file"], "data.train.kind=file: no dataset named 'file'"),
        (["toy", "--set", "data.train.hold=-1"], "data.train.hold=-1: input should be greater"),
        (["telea"], "telea is not trained: it fills without a network"),
    ],
)
def test_errors_say_what_to_do(toy_recipe, args, told):
    result = inpaint("train", args[0], toy_recipe, *args[1:], "--dry-run")
    assert result.exit_code == 1
    assert told in result.output, result.output


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("metrics: [psrn]", "metrics.0.kind: no metric named 'psrn'; did you mean 'psnr'?"),
        ("metrics: [{kind: psnr, regoin: hole}]", "metrics.0.regoin: no setting named 'regoin'"),
        ("metrics: [ssim, fid]", "metrics.1: 'fid' scores whole sets; use it with `inpaint"),
        ("keep: {best: psnr}", "keep.best: no metric of this recipe named 'psnr'; did you mean"),
        ("masks: {kind: files, path: nowhere}", "masks: nowhere does not exist; give a"),
        ("masks: {kind: half, ratio: [0.9, 1]}", "masks: 'half' at 32x32 gave no mask with"),
        ("val_masks: {kind: files, path: none}", "val_masks: none does not exist; give a"),
    ],
)
def test_metrics_and_masks_are_checked_before_anything_is_written(
    toy_recipe, tmp_path, monkeypatch, line, told
):
    """By lint, by a dry run and by a training."""
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 6)
    key = line.partition(" ")[0]
    lines = [other for other in RECIPE.splitlines() if not other.startswith(key)]
    toy_recipe.write_text("\n".join([*lines, line]))
    train = ("train", "toy", toy_recipe, "--data", "photos", "--workers", "0", "--run", "run")
    for args in (("recipes", "lint", toy_recipe), (*train, "--dry-run"), train):
        result = inpaint(*args)
        assert result.exit_code == 1
        assert f"{toy_recipe}:{len(lines) + 1}: {told}" in result.output
    assert not Path("run").exists()
    assert inpaint("recipes", "show", toy_recipe).exit_code == 0


def test_a_recipe_is_shown_where_its_masks_do_not_lie(toy_recipe):
    toy_recipe.write_text(RECIPE.replace("{kind: boxes}", "{kind: files, path: nowhere}"))
    assert "path: nowhere" in inpaint("recipes", "show", toy_recipe, "--arch", "toy").output


def test_lint_names_the_line_of_an_unknown_architecture(toy_recipe):
    toy_recipe.write_text(RECIPE.replace("  toy:", "  tou:"))
    assert (
        f"{toy_recipe}:13: architectures.tou: no arch"
        in inpaint("recipes", "lint", toy_recipe).output
    )


def test_settings_are_laid_over_the_tasks_own(toy_recipe):
    plan, source = recipe.read_recipe(
        toy_recipe, ["batch=6", "architectures.toy.stages.fill.batch=4"]
    )
    built = build_training("toy", plan, source)
    assert [stage.batch for stage in built.stages.values()] == [6, 4]
    assert built.stages["fill"].optimizer_of("critic").betas == (0, 0.9)
    assert built.stages["fill"].optimizer_of("fill") == Optimizer()
    assert built.stages["prior"].optimizer.lr == 1e-3
    assert [s.steps for s in build_training("toy", plan, source, steps=1).stages.values()] == [1, 1]


def test_a_phases_optimiser_is_laid_over_the_stages():
    stage = Stage(optimizer=Optimizer(kind="sgd", lr=1), optimizers={"critic": Optimizer(lr=2)})
    assert stage.optimizer_of("critic") == Optimizer(kind="sgd", lr=2)
    again = overlay_settings(stage, Stage(optimizers={"critic": Optimizer(momentum=0.5)}))
    assert again.optimizer_of("critic") == Optimizer(kind="sgd", lr=2, momentum=0.5)


def test_an_error_names_the_option_that_was_typed(toy_recipe, tmp_path):
    empty = tmp_path / "mk"
    empty.mkdir()
    train = ("train", "toy", toy_recipe, "--masks", empty)
    done = inpaint(*train, "--dry-run")
    assert done.stderr.startswith(f"Error: --masks {empty}: no image files in {empty}")
    done = inpaint(*train, "--set", "masks.flip=maybe", "--dry-run")
    assert done.stderr.startswith("Error: --set masks.flip=maybe: input should be a valid boolean")
    done = inpaint(*train, "--set", "architectures.toy={stages: {fill: {clip: -1}}}", "--dry-run")
    assert ": architectures.toy.stages.fill.clip: input should be" in done.stderr
    assert done.stderr.startswith("Error: --set architectures.toy={stages: {fill: {clip: -1}}}: ")


def test_an_error_has_the_path_and_the_line_of_the_file(toy_recipe):
    toy_recipe.write_text(RECIPE.replace("lr: 1e-3", "lr: -1"))
    with pytest.raises(RecipeError) as caught:
        recipe.read_recipe(toy_recipe)
    assert (caught.value.path, caught.value.line) == (toy_recipe, 17)
    toy_recipe.write_text("a: [")
    with pytest.raises(RecipeError) as caught:
        recipe.read_recipe(toy_recipe)
    assert (caught.value.path, caught.value.line) == (toy_recipe, 1)
    toy_recipe.write_text(RECIPE)
    with pytest.raises(RecipeError) as caught:
        recipe.read_recipe(toy_recipe, ["batch=-1"])
    assert (caught.value.path, caught.value.line) == (None, None)
    assert str(caught.value).startswith("--set batch=-1: input should be")


@pytest.mark.parametrize(
    "error",
    [RecipeError("wrong", path=Path("a.yaml"), line=3), ArgumentError("size", "too large")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_from_another_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_resolved_recipe_is_itself_when_read_again(toy_recipe, tmp_path):
    plan, source = recipe.read_recipe(toy_recipe)
    resolved = build_training("toy", plan, source).recipe
    path = tmp_path / "resolved.yaml"
    path.write_text(recipe.dump_recipe(resolved))
    again, source = recipe.read_recipe(path)
    assert again == resolved
    assert build_training("toy", again, source).recipe == resolved
    assert "lr: 0.0001" in path.read_text()  # a default that no one has written


def test_differences_are_named():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}, "e": 5}
    assert list(recipe.settings_differences(one, other)) == [
        ("b.c", 2, 4),
        ("b.d", 3, None),
        ("e", None, 5),
    ]


@given(st.integers(1, 500), st.integers(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_schedules_stay_between_floor_and_full(steps, warmup, floor, hold):
    for kind in ("constant", "linear", "cosine"):
        schedule = Schedule(kind=kind, warmup=warmup, start=floor, floor=floor, hold=hold)
        shares = [schedule.share(step, steps) for step in range(steps + 1)]
        assert all(floor - 1e-9 <= share <= 1 + 1e-9 for share in shares)
        late = shares[warmup:]
        assert late == sorted(late, reverse=True)
        if warmup < steps and kind != "constant" and hold * steps < steps:
            assert math.isclose(shares[-1], floor, abs_tol=1e-9)


def test_schedules_by_hand():
    assert Schedule(kind="cosine").share(50, 100) == pytest.approx(0.5)
    assert Schedule(kind="linear", hold=0.5).share(75, 100) == pytest.approx(0.5)
    assert Schedule(kind="linear", power=2).share(50, 100) == pytest.approx(0.25)
    assert Schedule(warmup=10, start=0.5).share(5, 100) == pytest.approx(0.75)
    drops = Schedule(kind="step", drops=(0.5, 0.9), factor=0.1)
    assert [drops.share(n, 10) for n in (4, 5, 9)] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize("path", SHELF, ids=lambda path: path.stem)
def test_every_shipped_recipe_fits_every_architecture_it_names(path):
    check_recipe(*recipe.read_recipe(path))


@pytest.mark.parametrize("path", SHELF, ids=lambda path: path.stem)
def test_every_architecture_fits_every_shipped_recipe(path):
    """By its own defaults, where the recipe has no section for it."""
    plan, source = recipe.read_recipe(path)
    for name in registry.find_plugins("architectures"):
        if registry.load_plugin("architectures", name).task is not None:
            *_, stages = check_section(name, plan, source)
            assert all(stage.batch for stage in stages.values())


def test_spn_is_trained_as_its_authors_did():
    plan, source = recipe.read_recipe(recipe.find_recipe("spn"))
    assert (plan.data.fit, plan.precision, plan.ema.decay) == ("stretch", "full", 0)
    assert plan.data.resize == "opencv"
    stages = {name: check_section(name, plan, source)[-1].values() for name in plan.architectures}
    assert {name: [stage.steps for stage in stages[name]] for name in stages} == {
        "spn": [111_720, 27_930],
        "spn-p": [111_720, 18_620],
        "spl": [111_720, 18_620],
    }
    for stage in [stage for one in stages.values() for stage in one]:
        assert (stage.batch, stage.clip, stage.optimizer.betas) == (8, 0, (0, 0.9))


def test_the_shelf_is_listed_and_shown(toy_recipe):
    listed = inpaint("recipes").output
    assert [line.split()[0] for line in listed.splitlines()] == [path.stem for path in SHELF]
    shown = yaml.safe_load(inpaint("recipes", "show", "faces-small", "--arch", "pconv").output)
    assert shown["architectures"]["pconv"]["task"]["hole"] == 6
    assert inpaint("recipes", "lint", *(path.stem for path in SHELF)).exit_code == 0
    toy_recipe.write_text(RECIPE.replace("l1: 1", "l2: 1"))
    result = inpaint("recipes", "lint", toy_recipe, "faces-small")
    assert result.exit_code == 1
    assert f"{toy_recipe}:15: architectures.toy.task.l2: no setting" in result.output
    assert "1 of 2 recipes are valid" in result.output
    changed = inpaint("recipes", "diff", "faces-small", "smoke").output
    assert "data.size: 64 -> 32" in changed
    missing = inpaint("recipes", "show", "faces-smal")
    assert "no recipe named 'faces-smal'; did you mean 'faces-small'?" in missing.output


def test_what_is_listed_or_reported_is_printed_as_json_too(toy_recipe):
    def parsed(*args, code=0):
        found = []
        for line in ((*args, "--json"), (args[0], "--json", *args[1:])):
            result = inpaint(*line)
            assert result.exit_code == code
            found.append(json.loads(result.stdout))
        assert found[0] == found[1]
        return found[0]

    assert [row["name"] for row in parsed("recipes")] == [path.stem for path in SHELF]
    assert parsed("recipes", "show", toy_recipe)["every"]["validate"] == 100
    assert parsed("recipes", "show", toy_recipe, "--arch", "toy")["masks"]["kind"] == "boxes"
    assert parsed("recipes", "lint", toy_recipe) == [{"recipe": str(toy_recipe), "error": None}]
    toy_recipe.write_text(RECIPE.replace("size: 32", "size: 0"))
    (row,) = parsed("recipes", "lint", toy_recipe, code=1)
    assert row["error"].startswith(f"{toy_recipe}:6: data.size: input should be greater")
    row = {"key": "data.size", "one": 64, "other": 32}
    assert row in parsed("recipes", "diff", "faces-small", "smoke")


def test_a_recipe_is_a_path_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe.find_recipe("smoke") == recipe.recipes_dir() / "smoke.yaml"
    Path("mine.yaml").write_text(RECIPE)
    assert recipe.find_recipe("mine.yaml") == Path("mine.yaml")
    with pytest.raises(RecipeError, match="no recipe named"):
        recipe.find_recipe("other.yaml")


def test_the_validation_has_what_the_training_set_says_of_its_data(toy_recipe):
    """All but the split, and only where both are of one kind; label maps would be photos else."""
    label = "data.train.labels=../labels/{}.png"
    data = recipe.read_recipe(toy_recipe, [label])[0].data
    assert data.val is not None
    assert data.val.model_extra == {"split": "val", "hold": 3, "labels": "../labels/{}.png"}
    data = recipe.read_recipe(toy_recipe, [label, "data.val.labels=null"])[0].data
    assert data.val is not None
    assert (data.val.model_extra or {})["labels"] is None
    data = recipe.read_recipe(toy_recipe, [label, "data.val.kind=celebahq"])[0].data
    assert data.val is not None
    assert "labels" not in (data.val.model_extra or {})


def test_masks_from_a_folder_keep_the_ratio_and_the_border_of_the_recipe(tmp_path):
    (tmp_path / "m").mkdir()
    masks = recipe.open_recipe("celebahq-512", masks=tmp_path / "m")[0].masks
    assert masks.model_extra == {"path": str(tmp_path / "m"), "ratio": [0.2, 0.3]}
    own = tmp_path / "own.yaml"
    own.write_text(
        "summary: s\nmasks: {kind: boxes, border: false}\nval_masks: {kind: boxes, ratio: [0, 0.5]}"
    )
    read, source = recipe.read_recipe(own, ["masks.invert=true"], masks=tmp_path / "m")
    assert (read.masks.model_extra or {})["border"] is False
    assert (read.masks.model_extra or {})["invert"] is True
    assert read.val_masks is not None
    assert (read.val_masks.model_extra or {})["ratio"] == [0, 0.5]
    assert str(source.error(("val_masks", "path"), "x")).startswith("--masks ")


def test_a_recipe_may_be_laid_over_another(toy_recipe):
    """A plugin of another kind takes over nothing, and null leaves a section out."""
    over = toy_recipe.with_name("over.yaml")
    over.write_text(
        "summary: over\nbase: toy.yaml\ndata: {size: 24}\nmasks: {kind: irregular}\n"
        "architectures: {toy: {task: {l1: 3}, stages: {prior: null}}}\n"
    )
    toy_recipe.write_text(RECIPE.replace("{kind: boxes}", "{kind: boxes, count: [2, 3]}"))
    read, source = recipe.read_recipe(over, ["batch=2"])
    assert (read.summary, read.data.size, read.data.train.kind) == ("over", 24, "files")
    assert read.masks.model_dump() == {"kind": "irregular"}
    assert read.architectures["toy"].task == {"l1": 3, "adversarial": "1e-2"}
    assert [*read.architectures["toy"].stages] == ["fill"]
    assert str(source.error(("data", "size"), "x")).startswith(f"{over}:3: ")
    where = ("architectures", "toy", "stages", "fill", "clip")
    assert str(source.error(where, "x")).startswith(f"{toy_recipe}:20: ")
    toy_recipe.write_text(RECIPE.replace("clip: 1.0", "clip: -1"))
    with pytest.raises(RecipeError, match=rf"{toy_recipe.name}:20: architectures\.toy") as error:
        recipe.read_recipe(over)
    assert (error.value.path, error.value.line) == (toy_recipe, 20)


def test_a_base_that_is_none_is_refused(toy_recipe):
    for base, says in (("toi", "base: no recipe named 'toi'"), ("toy.yaml", "break the circle")):
        toy_recipe.write_text(f"base: {base}\n{RECIPE}")
        with pytest.raises(RecipeError, match=says):
            recipe.read_recipe(toy_recipe)


def test_a_recipe_that_is_not_a_papers_says_so(toy_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 6)
    papers = "papers={toy: other}"
    plan, source = recipe.read_recipe(toy_recipe, [papers])
    assert run_name(build_training("toy", plan, source), source) == "toy-toy-not-as-published"
    told = outline_training("toy", toy_recipe, set=[papers]).splitlines()[0]
    assert told == "# toy does not train toy as its paper does; the recipe other does"


@pytest.mark.parametrize("path", SHELF, ids=lambda path: path.stem)
def test_the_papers_systems_are_sent_to_the_recipes_that_follow_their_papers(path):
    """Those recipes exist, train them, and send to no other; nothing is averaged or halved."""
    plan, _ = recipe.read_recipe(path)
    for name, other in plan.papers.items():
        own, _ = recipe.open_recipe(other)
        assert name not in own.papers
        assert name in own.architectures
        assert own.precision == "full" or other == "celebahq-512"  # whose paper does not say
    systems = {"spn", "spn-p", "spl", "gmsrm", "mdrnets"} & plan.architectures.keys()
    if plan.precision == "bf16":
        assert systems <= plan.papers.keys()


@pytest.mark.slow
@pytest.mark.parametrize("path", SHELF, ids=lambda path: path.stem)
def test_every_recipe_can_be_planned(path):
    for name in recipe.read_recipe(path)[0].architectures:
        assert "stage " in outline_training(name, path)
