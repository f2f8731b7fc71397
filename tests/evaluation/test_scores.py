"""Two results compared image by image."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from eval_sets import folders, plan_of_house, run
from PIL import Image

from inpaint_cli.cli import main
from inpaint_cli.errors import ArgumentError, DataError
from inpaint_cli.evaluation import results, scores


def invoke(*args, code=0):
    result = CliRunner().invoke(main, ["scores", *map(str, args)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_two_results_are_compared_image_by_image(tmp_path):
    paths = folders(tmp_path / "a")
    one, found = run(paths, plan_of_house())
    results.write_results(one, found, tmp_path / "one")
    for path in paths[0].iterdir():  # half the error everywhere
        near = np.asarray(Image.open(path)) / 2 + np.asarray(Image.open(paths[1] / path.name)) / 2
        Image.fromarray(near.round().astype(np.uint8)).save(path)
    two, found = run(paths, plan_of_house())
    results.write_results(replace(two, title="better"), found, tmp_path / "two")
    files = tmp_path / "one/result.json", tmp_path / "two/result.json"
    found = scores.compare_scores(*files)
    assert found.titles == ("ours", "better")
    assert found.metrics["psnr"].better == found.metrics["l1"].better == "better"
    psnr = found.metrics["psnr"]
    assert psnr.second - psnr.first == pytest.approx(6, abs=0.3)
    assert psnr.low < psnr.second - psnr.first < psnr.high
    (line,) = [line for line in found.table.splitlines() if line.startswith("psnr ")]
    assert line.endswith("better")
    printed = invoke(*files)
    assert printed.stdout == found.table + "\n"
    assert "paired over 5 images" in printed.stderr
    data = json.loads(invoke(*files, "--json").stdout)
    assert data["titles"] == ["ours", "better"]
    assert data["images"] == 5
    assert data["metrics"]["psnr"]["difference"] == psnr.second - psnr.first
    assert data["metrics"]["psnr"]["clear"] == "better"
    same = scores.compare_scores(files[0], files[0])
    assert {metric.better for metric in same.metrics.values()} == {None}
    assert all(line.endswith("-") for line in same.table.splitlines()[1:])
    content = [json.loads(file.read_text()) for file in files]
    assert scores.compare_scores(content[0], files[1]).to_dict() == found.to_dict()
    assert scores.compare_scores(*content).titles == found.titles


def test_scores_that_are_zero_infinite_or_missing_are_compared_as_they_are(tmp_path):
    paths = folders(tmp_path / "a", count=2)
    for path in paths[0].iterdir():  # without an error
        Image.open(paths[1] / path.name).save(path)
    result, found = run(paths, plan_of_house())
    results.write_results(result, found, tmp_path / "one", worst=0)
    file = tmp_path / "one/result.json"
    data = json.loads(file.read_text())
    data["table"]["ssim"]["all"]["value"] = None
    data["table"]["psnr"]["all"]["value"] = "inf"
    file.write_text(json.dumps(data))
    metrics = scores.compare_scores(file, file).metrics
    assert (metrics["l1"].first, metrics["l1"].second) == (0, 0)
    assert metrics["psnr"].first == math.inf
    assert math.isnan(metrics["ssim"].first)
    data = json.loads(invoke(file, file, "--json").stdout)["metrics"]
    assert (data["l1"]["first"], data["l1"]["difference"]) == (0, 0)
    assert (data["psnr"]["first"], data["psnr"]["difference"]) == ("inf", None)
    assert data["ssim"]["first"] is None


@pytest.mark.parametrize("key", ["title", "seed", "content", "conventions", "images"])
def test_a_result_with_a_part_missing_is_refused(tmp_path, key):
    result, _ = run(folders(tmp_path / "a", count=1), plan_of_house())
    data = results.results_data(result)
    del data[key]
    (tmp_path / "result.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"result\.json is not a complete result\.json"):
        scores.compare_scores(tmp_path / "result.json", tmp_path / "result.json")


def test_results_by_other_conventions_or_of_other_photos_are_refused(tmp_path):
    paths = folders(tmp_path / "a")
    one, found = run(paths, plan_of_house())
    results.write_results(one, found, tmp_path / "one", worst=0)
    other = replace(plan_of_house(), versions={"inpaint-cli": "0.0"})
    two, _ = run(paths, other)
    results.write_results(two, found, tmp_path / "two", worst=0)
    Image.new("RGB", (32, 32)).save(paths[1] / "0.png")
    three, _ = run(paths, plan_of_house())
    results.write_results(three, found, tmp_path / "three", worst=0)
    files = [tmp_path / name / "result.json" for name in ("one", "two", "three")]
    with pytest.raises(DataError, match=r"by different conventions.*versions\.inpaint-cli"):
        scores.compare_scores(files[0], files[1])
    with pytest.raises(DataError, match="different photos or holes"):
        scores.compare_scores(files[0], files[2])
    with pytest.raises(DataError, match=r"is not a complete result\.json"):
        scores.compare_scores(files[0], tmp_path / "one/images.csv")


def test_what_is_not_a_result_is_refused_by_name():
    with pytest.raises(ArgumentError, match=r"b: should be a path .*, not 3"):
        scores.compare_scores("a.json", 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"nothing\.json is not a complete result\.json"):
        scores.compare_scores("nothing.json", {})
