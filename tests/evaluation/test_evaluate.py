"""`evaluate` and the command `inpaint eval`."""

import json
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from eval_sets import folders
from PIL import Image

from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError
from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation.evaluate import evaluate
from inpaint_cli.models.choose import load_model


def invoke(*args, code=0):
    result = CliRunner().invoke(main, ["eval", *map(str, args)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_the_command_on_folders(tmp_path):
    results, truth, masks = folders(tmp_path)
    (results / "4.png").unlink()
    out = tmp_path / "scores"
    done = invoke(results, truth, "--masks", masks, "--features", "none", "-o", out)
    assert "4.png has no result" in done.stderr
    assert "lpips" in done.stderr
    assert "psnr-hole dB ↑" in done.stdout
    lines = (out / "images.csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("name,ratio,sample,psnr,psnr-hole")
    data = json.loads((out / "result.json").read_text())
    assert data["protocol"] == "house"
    assert data["fingerprint"] == protocols.read_protocol("house", features="none").fingerprint
    assert data["table"]["psnr"]["all"]["count"] == 4
    page = (out / "report.html").read_text()
    assert "data:image/" in page
    assert "<svg" in page
    with Image.open(out / "worst.png") as sheet:
        assert sheet.width > 3 * 256
    quiet = invoke(results, truth, "--masks", masks, "--features", "none", "--json")
    assert json.loads(quiet.stdout)["images"] == data["images"]


def test_without_masks_there_are_no_holes_to_score(tmp_path):
    results, truth, _ = folders(tmp_path)
    data = json.loads(invoke(results, truth, "--features", "none", "--json").stdout)
    assert data["table"]["psnr-hole"]["all"]["value"] is None
    assert data["table"]["psnr"]["all"]["count"] == 5
    assert list(data["table"]["psnr"]) == ["all"]


def test_a_model_fills_what_is_measured(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    args = ["--model", "telea", "--data", truth, "--features", "none", "--json"]
    data = json.loads(invoke(*args, "--masks", masks).stdout)
    assert [image["name"] for image in data["images"]] == ["0.png", "1.png", "2.png"]
    assert 10 < data["table"]["psnr-hole"]["all"]["value"] < 60
    assert data == json.loads(invoke(*args, "--masks", masks).stdout)
    drawn = json.loads(invoke(*args, "smoke").stdout)
    assert drawn["images"]  # those that the recipe holds back
    assert all(image["ratio"] > 0 for image in drawn["images"])
    assert "say where the holes are" in invoke(*args, code=1).output


def test_a_model_is_measured_at_the_size_of_its_recipe_unless_the_protocol_has_one(tmp_path):
    _, truth, masks = folders(tmp_path, count=2)
    args = ["--model", "telea", "--data", truth, "--masks", masks, "--features", "none", "--json"]
    as_is, recipe, asked = (
        json.loads(invoke(*args, *more).stdout)
        for more in ([], ["smoke"], ["smoke", "--size", "24"])
    )
    assert [data["conventions"]["size"] for data in (as_is, recipe, asked)] == [None, 32, 24]
    assert len({data["fingerprint"] for data in (as_is, recipe, asked)}) == 3
    wrong = invoke(*args, "--protocol", "gmsrm-table1", "--size", "24", code=1)
    assert "leave out --size 24" in wrong.output


def test_masks_with_other_names_are_assigned_at_random_but_a_missing_one_is_an_error(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    (masks / "1.png").unlink()
    args = ["--model", "telea", "--data", truth, "--masks", masks, "--features", "none"]
    assert "no mask of 1.png, but masks of other photos" in invoke(*args, code=1).output
    (masks / "0.png").rename(masks / "a.png")
    (masks / "2.png").rename(masks / "b.png")
    assert (
        "assigned at random (seed 0)"
        in invoke(*args, "-o", tmp_path / "out", "--worst", "0").output
    )


@pytest.mark.parametrize("option", ["--data", "--resize", "--size"])
def test_options_of_a_model_do_not_go_with_results(tmp_path, option):
    paths = folders(tmp_path, count=1)
    value = tmp_path if option == "--data" else 64
    error = invoke(*paths[:2], option, value, "--features", "none", code=2).output
    assert f"{option}: needs a model" in error


def test_missing_weights_stop_with_the_sentence_and_random_ones_are_labelled(tmp_path, monkeypatch):
    results, truth, masks = folders(tmp_path, count=2, side=64)
    monkeypatch.setenv("INPAINT_OFFLINE", "1")
    stopped = invoke(results, truth, "--masks", masks, code=1)
    assert "alexnet-owt-7be5be79.pth" in stopped.output
    assert "--weights-dir" in stopped.output
    (tmp_path / "own.yaml").write_text(
        "summary: s\nmetrics: {psnr: {kind: psnr}, lpips: {kind: lpips}}\n"
    )
    args = [results, truth, "--masks", masks, "--protocol", tmp_path / "own.yaml"]
    assert "lpips ↓, random features" in invoke(*args, "--features", "random").stdout


def test_a_model_fills_each_photo_in_every_shape_of_a_protocol(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    (tmp_path / "own.yaml").write_text(
        "summary: s\nshapes: [32x24, 20x40]\nbins: ['[0, 100]']\nmetrics: {psnr: {kind: psnr}}\n"
        "published: [{data: set, columns: [20x40], rows: {psnr: {theirs: [20]}}}]\n"
    )
    args = ["--model", "telea", "--data", truth, "--masks", masks, "-o", tmp_path / "out"]
    data = invoke(*args, "--protocol", tmp_path / "own.yaml", "--beside", "set").stdout
    assert "[0, 100] %" in data.replace("  ", " ")
    result = json.loads((tmp_path / "out/result.json").read_text())
    counts = {column: value["count"] for column, value in result["table"]["psnr"].items()}
    assert counts == {"[0, 100]": 6, "32x24": 3, "20x40": 3, "all": 6}
    names = [image["name"] for image in result["images"]]
    assert names[:3] == ["0.png 32x24", "0.png 20x40", "1.png 32x24"]
    mean = np.mean([image["psnr"] for image in result["images"] if image["name"].endswith("20x40")])
    assert result["table"]["psnr"]["20x40"]["value"] == pytest.approx(mean)
    assert "telea (here)" in data


def test_python_gets_what_the_command_prints(tmp_path):
    results, truth, masks = folders(tmp_path)
    result = evaluate(str(results), truth, masks=masks, features="none", output=tmp_path / "out")
    printed = invoke(results, truth, "--masks", masks, "--features", "none").stdout
    assert printed.startswith(f"{result.heading}\n{result.table}\n")
    assert result.title == "results"
    assert json.loads(json.dumps(result.to_dict())) == json.loads(
        (tmp_path / "out/result.json").read_text()
    )
    assert sorted(result.files) == sorted((tmp_path / "out").iterdir())
    assert result.to_dict()["notes"] == result.notes


def test_a_loaded_model_serves_as_well_as_its_name(tmp_path):
    _, truth, masks = folders(tmp_path, count=2)
    by_name, loaded = (
        evaluate(model=model, data=truth, masks=masks, features="none")
        for model in ("telea", load_model("telea"))
    )
    assert by_name.to_dict() == loaded.to_dict()
    assert by_name.title == loaded.title == "telea"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": 3, "data": "d"}, "model: should be .*, not 3"),
        ({"results": 1, "truth": "t"}, r"results: should be a path \(str or Path\), not 1"),
        ({"results": "r", "truth": "t", "features": "some"}, "features: should be 'published'"),
        ({"results": "r", "truth": "t", "seed": -1}, "seed: should be greater than or equal to 0"),
        ({"results": "r"}, "truth: is missing"),
        ({"model": "telea"}, "data: is missing"),
        ({"model": "telea", "data": "d", "truth": "t"}, "truth: cannot be combined with a model"),
        ({"results": "r", "truth": "t", "recipe": "smoke"}, "recipe: needs a model"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, says):
    with pytest.raises(ArgumentError, match=says):
        evaluate(**arguments)


@pytest.mark.parametrize(
    ("old", "new"),
    [(["--list"], "inpaint protocols"), (["--compare", "a", "b"], "inpaint scores")],
)
def test_options_that_became_commands_name_them(old, new):
    assert new in invoke(*old, code=2).output


def test_paths_that_do_not_exist_or_are_too_few_are_usage_errors(tmp_path):
    assert "give RESULTS and TRUTH" in invoke(code=2).output
    assert "at most a RECIPE" in invoke("--model", "telea", "a", "b", code=2).output
    assert "nothing does not exist" in invoke(tmp_path, "nothing", code=2).output


def test_photos_come_from_an_archive_or_a_list(tmp_path):
    _, truth, masks = folders(tmp_path, count=4)
    names = sorted(truth.iterdir())
    (tmp_path / "photos.txt").write_text("\n".join(map(str, names[:3])))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in names:
            archive.write(path, path.name)
    args = ["--model", "telea", "--features", "none", "--json"]
    single = masks / "2.png"
    counts = []
    for data, more in (("photos.txt", ()), ("photos.zip", ()), ("photos.zip", ("--count", 2))):
        done = invoke(*args, "--data", tmp_path / data, "--masks", single, *more)
        counts.append(len(json.loads(done.stdout)["images"]))
    assert counts == [3, 4, 2]
    split = ["smoke", "--data", tmp_path / "photos.zip"]
    for more, expected in (
        ((), ["2.png", "3.png"]),
        (("--split", "train"), ["0.png", "1.png"]),
        (("--set", "data.val.hold=1"), ["3.png"]),
    ):
        done = json.loads(invoke(*args, *split, *more).stdout)
        assert [image["name"] for image in done["images"]] == expected
        assert done["masks"] == "drawn by 'irregular'"
    alone = [*args, "--data", truth, "--masks", masks]
    for option, value in (("--split", "val"), ("--set", "a=1"), ("--pad", "edge")):
        assert f"{option}: needs" in invoke(*alone, option, value, code=2).output
