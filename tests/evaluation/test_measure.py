"""Protocols, pairing, statistics, several processes, and the command around them."""

import json
import math
import os
import socket
import subprocess
import sys
import weakref
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from places import SUPPORT
from skimage import data

from inpaint_cli.api.architectures import Sizes
from inpaint_cli.api.metrics import Features
from inpaint_cli.cli import main
from inpaint_cli.errors import DataError, ImageError, RecipeError
from inpaint_cli.evaluation import bootstrap as statistics
from inpaint_cli.evaluation import measure as evaluate
from inpaint_cli.evaluation import protocols
from inpaint_cli.evaluation import results as scorecard
from inpaint_cli.evaluation import samples as cases
from inpaint_cli.filling.fill import fill_tensors
from inpaint_cli.models.weights import Model
from inpaint_cli.recipe.schema import Named
from inpaint_cli.reports.html import Curves, Figure, Heading, Listing, write_page
from inpaint_cli.reports.text import Table
from inpaint_plugins.metrics.frechet import frechet
from inpaint_plugins.metrics.inception import InceptionMetric
from inpaint_plugins.metrics.perceptual import LPIPS
from inpaint_plugins.metrics.pixels import L1, PSNR
from inpaint_plugins.metrics.ssim import SSIM

CPU = torch.device("cpu")


class Colours(InceptionMetric):
    """A Fréchet distance of mean colours: the path of FID without its network."""

    better = "lower"
    calls: ClassVar[list[int]] = []

    @property
    def extractor(self):
        return "colours"

    def features(self, images):
        self.calls.append(len(images))
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)

    def distance(self, filled: Features, truth: Features):
        return frechet(filled, truth) if len(filled) > 1 else math.nan


def plan(**changes):
    """A protocol of fast metrics; `changes` are of its fields."""
    basis = protocols.read_protocol("house", features="none")
    metrics = {"psnr": PSNR(cap=100), "l1": L1(), "ssim": SSIM(size=7), "colours": Colours()}
    named = {label: Named(kind=label) for label in metrics}
    return replace(
        basis,
        protocol=basis.protocol.model_copy(update={"metrics": named, **changes}),
        metrics=metrics,
        left_out=(),
    )


def folders(root, count=5, side=32, samples=0):
    """Truth, masks and results in three folders; the hole of image n is n + 1 rows of `side`."""
    rng = np.random.default_rng(0)
    for name in ("truth", "masks", "results"):
        (root / name).mkdir(parents=True)
    for n in range(count):
        top = rng.integers(0, 200)
        truth = data.astronaut()[top : top + side, top : top + side]
        hole = np.zeros((side, side), bool)
        hole[: n + 1] = True
        Image.fromarray(truth).save(root / f"truth/{n}.png")
        Image.fromarray(hole).save(root / f"masks/{n}.png")
        for sample in range(max(samples, 1)):
            noise = rng.integers(-40 + 4 * sample, 41, truth.shape) * hole[..., None]
            filled = np.clip(truth.astype(int) + noise, 0, 255).astype(np.uint8)
            suffix = f".{sample + 1}" if samples else ""
            Image.fromarray(filled).save(root / f"results/{n}{suffix}.png")
    return root / "results", root / "truth", root / "masks"


def run(paths, used, **options):
    found = cases.pair_results(*paths, used.protocol)
    result = evaluate.measure_samples(found, used, title="ours", device=CPU, **options)
    assert result is not None
    return result, found


# Protocols


def test_every_protocol_reads_and_has_a_fingerprint_of_its_own():
    names = protocols.protocol_names()
    assert {"house", "edgeconnect", "lama-2021", "mdrnets-table1", "gmsrm-table1"} < {*names}
    assert {"gmsrm-table2", "spn-table1", "spn-celeba", "spn-table2", "in2-table5"} < {*names}
    plans = [protocols.read_protocol(name) for name in names]
    assert len({p.fingerprint for p in plans}) == len(names)
    assert [p.fingerprint for p in plans] == [protocols.read_protocol(n).fingerprint for n in names]


def test_published_rows_are_whole_and_some_are_known():
    for name in protocols.protocol_names():
        for table in protocols.read_protocol(name).protocol.published:
            for methods in table.rows.values():
                assert {len(values) for values in methods.values()} == {len(table.columns)}
    faces = protocols.read_protocol("mdrnets-table1").protocol.published[0]
    assert faces.rows["psnr"]["MDRNets"] == (35.772, 28.669, 24.177)
    paris = protocols.read_protocol("spn-table1").protocol.published[1]
    assert paris.rows["mae"]["SPN-D"] == (0.0109, 0.0282, 0.0154)
    assert (
        protocols.read_protocol("in2-table5").protocol.published[0].rows["lpips"]["IN2"][1] == 0.056
    )
    assert protocols.read_protocol("gmsrm-table2").protocol.published[1].rows["lmse"]["GM-SRM"] == (
        0.008,
        0.022,
    )


@pytest.mark.parametrize(
    ("interval", "ratio", "expected"),
    [
        ("(20, 30]", 0.3, True),
        ("(20, 30]", 0.300001, False),
        ("(30, 40]", 0.300001, True),
        ("(20, 30]", 0.2, False),
        ("[20, 40)", 0.2, True),
        ("[20, 40)", 0.4, False),
        ("[40, 60]", 0.6, True),
        ("[1, 20)", 0.0099, False),
        ("(20, 30]", 0.1 + 0.2, True),
    ],
)
def test_bins_are_as_open_as_they_are_written(interval, ratio, expected):
    assert protocols.in_interval(interval, ratio) is expected


def test_the_fingerprint_follows_conventions_and_not_prose(tmp_path):
    text = (protocols.protocols_dir() / "mdrnets-table1.yaml").read_text()

    def fingerprint(old, new, features="published"):
        (tmp_path / "own.yaml").write_text(text.replace(old, new))
        return protocols.read_protocol(str(tmp_path / "own.yaml"), features=features).fingerprint

    base = fingerprint("", "")
    assert fingerprint("summary: Faces", "summary: Photos") == base
    assert fingerprint("35.772", "35.8") == base
    assert fingerprint("levels: round", "levels: truncate") != base
    assert fingerprint("size: 51", "size: 11") != base
    assert fingerprint("", "", "random") != base
    assert fingerprint("", "", "none") != base


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("levels: round", "levels: floor"), r"own.yaml:\d+: levels: .*'round', 'truncate'"),
        (("[1, 20)", "1 to 20"), r"own.yaml:\d+: bins.0: '1 to 20' is no interval"),
        (("window:", "windows:"), r"no setting named 'windows'; did you mean 'window'\?"),
        (("size: 256", "size: 256\nsamples: 5"), "`best` names a metric"),
        (("kind: fid", "kind: fud"), "no metric named 'fud'; did you mean 'fid'"),
    ],
)
def test_a_wrong_protocol_is_told_at_its_line(tmp_path, change, told):
    text = (protocols.protocols_dir() / "mdrnets-table1.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text.replace(*change))
    with pytest.raises(Exception, match=told):
        protocols.read_protocol(str(tmp_path / "own.yaml"))
    with pytest.raises(RecipeError, match="did you mean 'house'"):
        protocols.read_protocol("hause")


def test_levels_survive_what_a_protocol_does_to_them():
    every = torch.arange(256, dtype=torch.uint8)
    for how in ("round", "truncate"):
        assert torch.equal(evaluate.to_levels(every / 255, how), every)
    assert evaluate.to_levels(torch.tensor([0.999]), "truncate").item() == 254
    assert evaluate.to_levels(torch.tensor([0.999]), "round").item() == 255
    assert evaluate.to_levels(torch.tensor([-0.5, 0.25]), "float").tolist() == [0, 0.25]


# Pairing


def test_leftovers_of_every_side_are_told(tmp_path):
    results, truth, masks = folders(tmp_path)
    (results / "0.png").unlink()
    (masks / "1.png").unlink()
    Image.new("RGB", (32, 32)).save(results / "stranger.png")
    (results / "2.png").rename(results / "2.filled.png")
    found = cases.pair_results(results, truth, masks, plan().protocol)
    assert found.names == ["2.png", "3.png", "4.png"]
    told = "\n".join(found.notes)
    for file in ("truth/0.png has no result", "truth/1.png has no mask", "stranger.png is no"):
        assert file in told, file


def test_nothing_is_resized(tmp_path):
    paths = folders(tmp_path, count=2)
    Image.new("RGB", (31, 32)).save(paths[0] / "1.png")
    with pytest.raises(ImageError, match=r"results/1.png is 31x32, but .*truth/1.png is 32x32"):
        run(paths, plan())
    with pytest.raises(ImageError, match="the protocol is for 256x256; resize"):
        run(paths, plan(size=256))
    with pytest.raises(DataError, match="no result in"):
        cases.pair_results(paths[0], tmp_path, None, plan().protocol)


# Numbers


def test_scores_by_bin_with_counts(tmp_path):
    paths = folders(tmp_path)
    result, _ = run(paths, plan(bins=("[0, 5)", "[5, 10)", "[10, 20]")))
    assert [row.ratio for row in result.rows] == [n / 32 for n in range(1, 6)]
    table = result.table["l1"]
    assert [table[b].count for b in ("[0, 5)", "[5, 10)", "[10, 20]", "all")] == [1, 2, 2, 5]
    scores = [row.scores["l1"] for row in result.rows]
    assert table["[5, 10)"].value == pytest.approx(np.mean(scores[1:3]))
    assert table["all"].low < table["all"].value < table["all"].high
    truth, filled = (
        [np.asarray(Image.open(p / f"{n}.png")) / 255 for n in range(5)]
        for p in (paths[1], paths[0])
    )
    assert scores == pytest.approx(
        [100 * abs(a - b).mean() for a, b in zip(filled, truth, strict=True)]
    )
    pooled = [
        torch.nn.functional.adaptive_avg_pool2d(torch.tensor(x * 255).permute(2, 0, 1).float(), 2)
        for x in (*filled, *truth)
    ]
    rows = torch.stack(pooled).flatten(1).numpy()
    expected = frechet(Features(rows, np.arange(5)), Features(rows, np.arange(5, 10)))
    assert result.table["colours"]["all"].value == pytest.approx(expected, rel=1e-5)
    assert math.isnan(result.table["colours"]["[0, 5)"].value)


def test_what_is_visible_counts_as_the_truth_unless_the_protocol_says_raw(tmp_path):
    paths = folders(tmp_path, count=2)
    plain, _ = run(paths, plan())
    for path in paths[0].iterdir():
        image = np.array(Image.open(path))
        image[16:] = 0  # spoilt where it was visible
        Image.fromarray(image).save(path)
    composite, _ = run(paths, plan())
    raw, _ = run(paths, plan(composite=False))
    assert repr(composite.table) == repr(plain.table)  # NaN is not equal to itself
    assert raw.table["l1"]["all"].value > plain.table["l1"]["all"].value


def test_the_best_of_five_is_scored_by_all_metrics(tmp_path):
    paths = folders(tmp_path, count=3, samples=5)
    used = plan(samples=5, best="psnr")
    result, found = run(paths, used)
    for n, row in enumerate(result.rows):
        truth = np.asarray(Image.open(paths[1] / f"{n}.png")).astype(float)
        fills = [np.asarray(Image.open(paths[0] / f"{n}.{k}.png")) for k in range(1, 6)]
        errors = [((fill - truth) ** 2).mean() for fill in fills]
        assert row.sample == int(np.argmin(errors))
        assert row.scores["l1"] == pytest.approx(100 * abs(fills[row.sample] - truth).mean() / 255)
        hole = np.asarray(Image.open(paths[2] / f"{n}.png"))
        assert row.scores["l1-mean"] == pytest.approx(
            np.mean([100 * abs(fill - truth).mean() / 255 for fill in fills])
        )
        assert row.scores["diversity"] == pytest.approx(
            np.mean([100 * abs(a / 255 - b / 255)[hole].mean() for a, b in combinations(fills, 2)])
        )
    table = scorecard.results_table(result).text()
    assert "psnr-mean dB ↑, of 5 samples" in table
    assert "diversity % ↑, L1 of two samples in the hole" in table
    told = scorecard.results_data(result)
    assert told["metrics"]["l1-mean"] == {"better": "lower", "unit": "%", "note": "of 5 samples"}
    assert told["table"]["l1-mean"]["all"]["value"] > told["table"]["l1"]["all"]["value"]
    assert told["table"]["diversity"]["all"]["count"] == 3
    (paths[0] / "0.5.png").unlink()
    found = cases.pair_results(*paths, used.protocol)
    assert found.names == ["1.png", "2.png"]
    assert any("has 4 results, not 5" in note for note in found.notes)


def test_samples_are_apart_by_lpips_where_the_protocol_has_it(tmp_path):
    paths = folders(tmp_path, count=1, side=64, samples=3)
    (tmp_path / "own.yaml").write_text(
        "summary: s\nsamples: 3\nbest: psnr\nmetrics: {psnr: {kind: psnr}, own: {kind: lpips}}\n"
    )
    used = protocols.read_protocol(str(tmp_path / "own.yaml"), features="random")
    result, found = run(paths, used)
    case = found[0]
    fills = [(fill * 255).round().to(torch.uint8) for fill in case.fills]
    lpips = LPIPS(weights="random", region="hole")
    distances = [float(lpips.score(a, b, case.mask)) for a, b in combinations(fills, 2)]
    assert result.rows[0].scores["diversity"] == pytest.approx(np.mean(distances), rel=1e-5)
    named = [row[0] for row in scorecard.results_table(result).rows]
    assert named[-1] == "diversity ↑, random features, LPIPS of two samples in the hole"


def test_features_of_the_truth_are_kept_and_belong_to_its_content(tmp_path):
    paths = folders(tmp_path)
    Colours.calls.clear()
    first, _ = run(paths, plan())
    assert Colours.calls == [1, 5, 5]  # the rehearsal comes first
    again, _ = run(paths, plan())
    assert Colours.calls == [1, 5, 5, 1, 5]
    assert repr(again.table) == repr(first.table)
    Image.new("RGB", (32, 32), "red").save(paths[1] / "0.png")
    run(paths, plan())
    assert Colours.calls == [1, 5, 5, 1, 5, 1, 5, 5]


def test_metrics_of_a_set_are_given_the_same_features_in_turn(tmp_path, monkeypatch):
    used, given = plan(bins=("[0, 5)", "[5, 100]")), []
    monkeypatch.setattr(Colours, "distance", lambda _, *sets: given.append(sets) or 0.0)
    run(folders(tmp_path), replace(used, metrics={"a": Colours(), "b": L1(), "c": Colours()}))
    assert len(given) == 6
    assert given[::2] == given[1::2]


def test_pictures_are_held_a_chunk_at_a_time(tmp_path):
    paths = folders(tmp_path, count=3 * evaluate.CHUNK)
    alive, most = weakref.WeakSet(), []

    class Watched(cases.FolderResults):
        def __getitem__(self, n):
            case = super().__getitem__(n)
            alive.add(case.truth)
            most.append(len(alive))
            return case

    found = cases.pair_results(*paths, plan().protocol)
    watched = Watched(**{field: getattr(found, field) for field in found.__dataclass_fields__})
    evaluate.measure_samples(watched, plan(), title="", device=CPU)
    assert len(most) == 3 * evaluate.CHUNK
    assert max(most) <= evaluate.CHUNK


TWO = """
import json, sys
from accelerate import PartialState
import torch
torch.set_num_threads(1)
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
import test_measure as t
from inpaint_cli.evaluation import results as scorecard
state = PartialState(cpu=True)
paths = [Path(sys.argv[2]) / name for name in ("results", "truth", "masks")]
used = t.plan()
found = t.cases.pair_results(*paths, used.protocol)
result = t.evaluate.measure_samples(found, used, title="ours", device=t.CPU)
assert (result is None) == (state.process_index > 0)
if result:
    Path(sys.argv[3]).write_text(json.dumps(scorecard.results_data(result)))
state.destroy_process_group()
"""


@pytest.mark.ddp
def test_two_processes_give_exactly_the_numbers_of_one(tmp_path):
    paths = folders(tmp_path, count=2 * evaluate.CHUNK + 3)
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, tmp_path / "two.py", f"{SUPPORT}:{Path(__file__).parent}", tmp_path]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    launched = [
        subprocess.Popen(
            [*command, tmp_path / "two.json"],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in launched:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told.decode()
    one, _ = run(paths, plan())
    expected = json.loads(json.dumps(scorecard.results_data(one)))
    assert json.loads((tmp_path / "two.json").read_text()) == expected
    assert len(expected["images"]) == 2 * evaluate.CHUNK + 3


def test_intervals_are_seeded_and_cover_what_they_promise():
    def mean(x):
        return x.mean(-1)

    scores = np.random.default_rng(0).normal(size=100)
    assert statistics.confidence_interval(scores, mean, 1) == statistics.confidence_interval(
        scores, mean, 1
    )
    assert statistics.confidence_interval(scores, mean, 1) != statistics.confidence_interval(
        scores, mean, 2
    )
    low, high = statistics.confidence_interval(scores, mean, 0)
    width = 1.96 * scores.std() / 10  # what theory says
    assert low == pytest.approx(scores.mean() - width, abs=0.03)
    assert high == pytest.approx(scores.mean() + width, abs=0.03)
    near = statistics.difference_interval(scores + 0.01, scores, mean, 0)
    assert near == pytest.approx((0.01, 0.01))  # paired: the noise is common
    assert all(math.isnan(bound) for bound in statistics.confidence_interval(np.array([]), mean, 0))


# Comparing


def test_results_measured_alike_are_compared_image_by_image(tmp_path):
    paths = folders(tmp_path / "a")
    one, found = run(paths, plan_of_house())
    scorecard.write_results(one, found, tmp_path / "one")
    for path in paths[0].iterdir():  # half the error everywhere
        near = np.asarray(Image.open(path)) / 2 + np.asarray(Image.open(paths[1] / path.name)) / 2
        Image.fromarray(near.round().astype(np.uint8)).save(path)
    two, found = run(paths, plan_of_house())
    scorecard.write_results(replace(two, title="better"), found, tmp_path / "two")
    files = tmp_path / "one/result.json", tmp_path / "two/result.json"
    found = scorecard.compare_results(*files)
    assert found.titles == ("ours", "better")
    assert found.metrics["psnr"].clear == found.metrics["l1"].clear == "better"
    psnr = found.metrics["psnr"]
    assert psnr.second - psnr.first == pytest.approx(6, abs=0.3)
    assert psnr.low < psnr.second - psnr.first < psnr.high
    assert [row[-1] for row in found.table().rows if row[0] == "psnr"] == ["better"]
    told = json.loads(invoke("--compare", *files, "--json").stdout)
    assert told["titles"] == ["ours", "better"]
    assert told["images"] == 5
    assert told["metrics"]["psnr"]["difference"] == psnr.second - psnr.first
    assert told["metrics"]["psnr"]["clear"] == "better"
    same = scorecard.compare_results(files[0], files[0])
    assert {metric.clear for metric in same.metrics.values()} == {None}
    assert {row[-1] for row in same.table().rows} == {"-"}


def test_scores_that_are_zero_infinite_or_missing_are_compared_as_they_are(tmp_path):
    paths = folders(tmp_path / "a", count=2)
    for path in paths[0].iterdir():  # without an error
        Image.open(paths[1] / path.name).save(path)
    result, found = run(paths, plan_of_house())
    scorecard.write_results(result, found, tmp_path / "one", worst=0)
    file = tmp_path / "one/result.json"
    told = json.loads(file.read_text())
    told["table"]["ssim"]["all"]["value"] = None
    told["table"]["psnr"]["all"]["value"] = "inf"
    file.write_text(json.dumps(told))
    metrics = scorecard.compare_results(file, file).metrics
    assert (metrics["l1"].first, metrics["l1"].second) == (0, 0)
    assert metrics["psnr"].first == math.inf
    assert math.isnan(metrics["ssim"].first)
    told = json.loads(invoke("--compare", file, file, "--json").stdout)["metrics"]
    assert (told["l1"]["first"], told["l1"]["difference"]) == (0, 0)
    assert (told["psnr"]["first"], told["psnr"]["difference"]) == ("inf", None)
    assert told["ssim"]["first"] is None


@pytest.mark.parametrize("key", ["title", "seed", "content", "conventions", "images"])
def test_a_result_with_a_part_missing_is_refused(tmp_path, key):
    result, _ = run(folders(tmp_path / "a", count=1), plan_of_house())
    told = scorecard.results_data(result)
    del told[key]
    (tmp_path / "result.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"result\.json is not a whole result\.json"):
        scorecard.compare_results(tmp_path / "result.json", tmp_path / "result.json")


def plan_of_house():
    return protocols.read_protocol("house", features="none")


def test_results_that_were_not_measured_alike_are_refused(tmp_path):
    paths = folders(tmp_path / "a")
    one, found = run(paths, plan_of_house())
    scorecard.write_results(one, found, tmp_path / "one", worst=0)
    other = replace(plan_of_house(), versions={"inpaint-cli": "0.0"})
    two, _ = run(paths, other)
    scorecard.write_results(two, found, tmp_path / "two", worst=0)
    Image.new("RGB", (32, 32)).save(paths[1] / "0.png")
    three, _ = run(paths, plan_of_house())
    scorecard.write_results(three, found, tmp_path / "three", worst=0)
    files = [tmp_path / name / "result.json" for name in ("one", "two", "three")]
    with pytest.raises(DataError, match=r"not measured alike.*versions\.inpaint-cli"):
        scorecard.compare_results(files[0], files[1])
    with pytest.raises(DataError, match="different photos or holes"):
        scorecard.compare_results(files[0], files[2])
    with pytest.raises(DataError, match=r"is not a whole result\.json"):
        scorecard.compare_results(files[0], tmp_path / "one/images.csv")


# The command and what it leaves


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
    told = json.loads((out / "result.json").read_text())
    assert told["protocol"] == "house"
    assert told["fingerprint"] == protocols.read_protocol("house", features="none").fingerprint
    assert told["table"]["psnr"]["all"]["count"] == 4
    page = (out / "report.html").read_text()
    assert "data:image/" in page
    assert "<svg" in page
    with Image.open(out / "worst.png") as sheet:
        assert sheet.width > 3 * 256
    quiet = invoke(results, truth, "--masks", masks, "--features", "none", "--json")
    assert json.loads(quiet.stdout)["images"] == told["images"]
    compared = invoke("--compare", out / "result.json", out / "result.json")
    assert "psnr" in compared.stdout


def test_without_masks_there_are_no_holes_to_score(tmp_path):
    results, truth, _ = folders(tmp_path)
    told = json.loads(invoke(results, truth, "--features", "none", "--json").stdout)
    assert told["table"]["psnr-hole"]["all"]["value"] is None
    assert told["table"]["psnr"]["all"]["count"] == 5
    assert list(told["table"]["psnr"]) == ["all"]


def test_a_model_fills_what_is_measured(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    args = ["--model", "telea", "--data", truth, "--features", "none", "--json"]
    told = json.loads(invoke(*args, "--masks", masks).stdout)
    assert [image["name"] for image in told["images"]] == ["0.png", "1.png", "2.png"]
    assert 10 < told["table"]["psnr-hole"]["all"]["value"] < 60
    assert told == json.loads(invoke(*args, "--masks", masks).stdout)
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
    assert [told["conventions"]["size"] for told in (as_is, recipe, asked)] == [None, 32, 24]
    assert len({told["fingerprint"] for told in (as_is, recipe, asked)}) == 3
    wrong = invoke(*args, "--protocol", "gmsrm-table1", "--size", "24", code=1)
    assert "leave out --size 24" in wrong.output


def test_masks_are_dealt_a_bin_at_a_time(tmp_path):
    _, _, masks = folders(tmp_path, count=6)
    files = sorted(masks.iterdir())
    used = plan(bins=("[0, 8)", "[8, 20]"), per_bin=True).protocol
    hands = cases.assign_masks(files, 4, used, seed=0)
    assert [photo for photo, _ in hands] == [0, 1, 2, 3] * 2
    assert {path for _, path in hands[:4]} <= {*files[:2]}
    assert {path for _, path in hands[4:]} == {*files[2:]}
    assert hands == cases.assign_masks(files, 4, used, seed=0)
    with pytest.raises(DataError, match="no mask has a hole of"):
        cases.assign_masks(files, 4, plan(bins=("[90, 95)",), per_bin=True).protocol, seed=0)


def test_a_mask_that_is_missing_among_named_ones_is_told(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    (masks / "1.png").unlink()
    args = ["--model", "telea", "--data", truth, "--masks", masks, "--features", "none"]
    assert "no mask of 1.png, though other photos have theirs" in invoke(*args, code=1).output
    (masks / "0.png").rename(masks / "a.png")
    (masks / "2.png").rename(masks / "b.png")
    assert "dealt by seed 0" in invoke(*args, "-o", tmp_path / "out", "--worst", "0").output


@pytest.mark.parametrize("option", ["--data", "--resize", "--size"])
def test_options_of_a_model_do_not_go_with_results(tmp_path, option):
    paths = folders(tmp_path, count=1)
    value = tmp_path if option == "--data" else 64
    told = invoke(*paths[:2], option, value, "--features", "none", code=2).output
    assert f"{option} goes with --model or --weights" in told


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


def test_published_rows_stand_beside_ours(tmp_path):
    paths = folders(tmp_path, count=4, side=64)
    used = protocols.read_protocol("mdrnets-table1", features="none")
    used = replace(used, protocol=used.protocol.model_copy(update={"size": 64}))
    result, _ = run(paths, used)
    tables = scorecard.published_tables(result, "FFHQ")
    assert [table.head[0] for table in tables] == ["l1 % ↓", "psnr dB ↑", "ssim-ec ↑"]
    assert tables[1].rows[-2][0] == "MDRNets"
    assert tables[1].rows[-1][0] == "ours (here)"
    assert tables[1].rows[-1][1] == scorecard.score_text(
        result.table["psnr"]["[1, 20)"], bounds=False
    )
    assert tables[1].rows[-1][2] == "-"  # no hole was that large
    with pytest.raises(DataError, match="it has: CelebA-HQ, FFHQ"):
        scorecard.published_tables(result, "Places2")


def test_protocols_are_listed():
    assert "mdrnets-table1" in invoke("--list").stdout
    listed = json.loads(invoke("--list", "--json").stdout)
    assert [protocol["name"] for protocol in listed] == protocols.protocol_names()
    assert all(protocol["summary"] for protocol in listed)
    assert "give RESULTS and TRUTH" in invoke(code=2).output


def test_a_table_in_columns_of_characters():
    table = Table(["", "seconds"], [["telea", "0.1"], ["ns", "12"]])
    assert table.text() == "       seconds\ntelea      0.1\nns          12"
    assert table.text(str.ljust) == "       seconds\ntelea  0.1\nns     12"


def test_a_report_escapes_what_it_shows_and_fetches_nothing(tmp_path):
    curves = Curves({"a<b": [(0, 1), (1, math.nan), (2, 100)]}, logarithmic=True)
    parts = [
        Heading("<script>"),
        Table(["x"], [["<b>"]]),
        Listing("a\n  b"),
        Figure(np.zeros((4, 4, 3), np.uint8), '"quoted"'),
        curves,
        Curves({}),
    ]
    write_page(tmp_path / "r.html", "A & B", parts)
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "A &amp; B" in page
    assert "&lt;b&gt;" in page
    assert "http" not in page
    assert page.count("<polyline") == 1
    ((_, _, line),) = curves.drawing["lines"]
    assert len(line.split()) == 2
    assert [label for _, label in curves.drawing["y"]] == ["1", "3.162", "10", "31.62", "100"]


def test_a_model_fills_each_photo_in_every_shape_of_a_protocol(tmp_path):
    _, truth, masks = folders(tmp_path, count=3)
    (tmp_path / "own.yaml").write_text(
        "summary: s\nshapes: [32x24, 20x40]\nbins: ['[0, 100]']\nmetrics: {psnr: {kind: psnr}}\n"
        "published: [{data: set, columns: [20x40], rows: {psnr: {theirs: [20]}}}]\n"
    )
    args = ["--model", "telea", "--data", truth, "--masks", masks, "-o", tmp_path / "out"]
    told = invoke(*args, "--protocol", tmp_path / "own.yaml", "--beside", "set").stdout
    assert "[0, 100] %" in told.replace("  ", " ")
    result = json.loads((tmp_path / "out/result.json").read_text())
    counts = {column: value["count"] for column, value in result["table"]["psnr"].items()}
    assert counts == {"[0, 100]": 6, "32x24": 3, "20x40": 3, "all": 6}
    names = [image["name"] for image in result["images"]]
    assert names[:3] == ["0.png 32x24", "0.png 20x40", "1.png 32x24"]
    mean = np.mean([image["psnr"] for image in result["images"] if image["name"].endswith("20x40")])
    assert result["table"]["psnr"]["20x40"]["value"] == pytest.approx(mean)
    assert "telea (here)" in told


def test_shapes_stand_alone():
    with pytest.raises(ValueError, match="neither `size` nor `per_bin`"):
        protocols.Protocol(
            summary="s", size=8, shapes=("8x8",), metrics={"psnr": Named(kind="psnr")}
        )


def test_the_sizes_of_in2s_tables_are_a_protocol():
    protocol = protocols.read_protocol("in2-table5", features="none").protocol
    printed = [column for table in protocol.published for column in table.columns]
    assert printed == list(protocol.shapes)
    assert len(set(printed)) == 8


def test_a_resized_model_sees_squares_and_no_more_of_the_hole():
    """Nothing of what is hidden gets into the small picture, which is hole where some of it is."""
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, visible, mask):
            seen.append((visible, mask))
            return torch.full_like(visible, 0.25)

    model = Model("spy", Spy(), Sizes())
    resized = cases.ResizedModel(model, 16)
    image, mask = torch.full((1, 3, 40, 23), 0.75), torch.zeros(1, 1, 40, 23)
    mask[..., 10:31, 5:12] = 1
    filled = fill_tensors(resized, Sizes(), image, mask)
    ((visible, hole),) = seen
    assert visible.shape[-2:] == hole.shape[-2:] == (16, 16)
    seen_there = visible[(hole == 0).expand_as(visible)]
    torch.testing.assert_close(seen_there, torch.full_like(seen_there, 0.75))
    assert torch.equal(filled[mask.expand_as(filled) == 0], image[mask.expand_as(image) == 0])
    torch.testing.assert_close(filled[..., 15:25, 7:10], torch.full((1, 3, 10, 3), 0.25))
