"""Scores by bin and shape, features, several samples and several processes."""

import json
import math
import os
import weakref
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from accelerate import PartialState
from eval_sets import CPU, Colours, folders, plan, run
from PIL import Image
from twins import run_two

from inpaint_cli.api.metrics import Features
from inpaint_cli.evaluation import measure, protocols, results, samples
from inpaint_plugins.metrics.frechet import frechet_distance
from inpaint_plugins.metrics.perceptual import LPIPS
from inpaint_plugins.metrics.pixels import L1


def test_levels_survive_what_a_protocol_does_to_them():
    every = torch.arange(256, dtype=torch.uint8)
    for how in ("round", "truncate"):
        assert torch.equal(measure.to_levels(every / 255, how), every)
    assert measure.to_levels(torch.tensor([0.999]), "truncate").item() == 254
    assert measure.to_levels(torch.tensor([0.999]), "round").item() == 255
    assert measure.to_levels(torch.tensor([-0.5, 0.25]), "float").tolist() == [0, 0.25]


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
    expected = frechet_distance(Features(rows, np.arange(5)), Features(rows, np.arange(5, 10)))
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
    table = results.results_table(result).text()
    assert "psnr-mean dB ↑, of 5 samples" in table
    assert "diversity % ↑, L1 between samples, in the hole" in table
    data = results.results_data(result)
    assert data["metrics"]["l1-mean"] == {"better": "lower", "unit": "%", "note": "of 5 samples"}
    assert data["table"]["l1-mean"]["all"]["value"] > data["table"]["l1"]["all"]["value"]
    assert data["table"]["diversity"]["all"]["count"] == 3
    (paths[0] / "0.5.png").unlink()
    found = samples.pair_results(*paths, used.protocol)
    assert found.names == ["1.png", "2.png"]
    assert any("has 4 results, not 5" in note for note in found.notes)


def test_diversity_is_measured_by_lpips_if_the_protocol_has_it(tmp_path):
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
    named = [row[0] for row in results.results_table(result).rows]
    assert named[-1] == "diversity ↑, random features, LPIPS between samples, in the hole"


def test_features_of_the_truth_are_kept_and_belong_to_its_content(tmp_path):
    paths = folders(tmp_path)
    Colours.calls.clear()
    first, _ = run(paths, plan())
    assert sum(Colours.calls) == 1 + 5 + 5, "a rehearsal, fills and truths"
    again, _ = run(paths, plan())
    assert sum(Colours.calls) == 11 + 1 + 5
    assert repr(again.table) == repr(first.table)
    Image.new("RGB", (32, 32), "red").save(paths[1] / "0.png")
    run(paths, plan())
    assert sum(Colours.calls) == 17 + 11


def test_metrics_of_a_set_are_given_the_same_features_in_turn(tmp_path, monkeypatch):
    used, given = plan(bins=("[0, 5)", "[5, 100]")), []
    monkeypatch.setattr(Colours, "distance", lambda _, *sets: given.append(sets) or 0.0)
    run(folders(tmp_path), replace(used, metrics={"a": Colours(), "b": L1(), "c": Colours()}))
    assert len(given) == 6
    assert given[::2] == given[1::2]


def test_few_images_are_held_at_a_time(tmp_path):
    paths = folders(tmp_path, count=3 * measure.CHUNK_SAMPLES)
    alive, most = weakref.WeakSet(), []

    class Watched(samples.FolderResults):
        def __getitem__(self, n):
            case = super().__getitem__(n)
            alive.add(case.truth)
            most.append(len(alive))
            return case

    found = samples.pair_results(*paths, plan().protocol)
    watched = Watched(**{field: getattr(found, field) for field in found.__dataclass_fields__})
    measure.measure_samples(watched, plan(), title="", device=CPU)
    assert len(most) == 3 * measure.CHUNK_SAMPLES
    assert max(most) <= 2 * (os.cpu_count() or 1), "one for each thread, and the one before it"


@pytest.mark.ddp
def test_two_processes_give_exactly_the_numbers_of_one(tmp_path):
    paths = folders(tmp_path, count=2 * measure.CHUNK_SAMPLES + 3)

    def measure_share(rank):
        state = PartialState(cpu=True)
        assert (state.num_processes, state.process_index) == (2, rank)
        evaluation, _ = run(paths, plan())
        (tmp_path / f"two.json.{rank}").write_text(json.dumps(results.results_data(evaluation)))

    run_two(measure_share, tmp_path)
    one, _ = run(paths, plan())
    expected = json.loads(json.dumps(results.results_data(one)))
    for rank in range(2):
        assert json.loads((tmp_path / f"two.json.{rank}").read_text()) == expected
    assert len(expected["images"]) == 2 * measure.CHUNK_SAMPLES + 3
