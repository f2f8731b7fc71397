"""The benchmark for GPUs, as far as a CPU shows it."""

import importlib
import time
from types import SimpleNamespace

import pytest
import torch
from places import ROOT
from small import build_small

CPU = torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("gpu")


@pytest.fixture
def study(gpu):
    return importlib.import_module("gpu_study")


def test_rows_are_kept_and_what_there_is_no_time_for_is_left(gpu, tmp_path):
    path, soon = tmp_path / "rows.jsonl", time.monotonic() + 100
    sheet = gpu.Sheet(path, soon)
    sheet.measure("one", lambda: {"result": 1})
    sheet.measure("bad", lambda: 1 / 0)
    sheet.until = 0
    sheet.measure("late", lambda: {"result": 3})
    assert "1 rows were left for another call" in sheet.table()
    again = gpu.Sheet(path, soon)
    for key in ("one", "bad", "late"):
        again.measure(key, lambda: {"result": "again"})
    found = {key: row["result"] for key, row in again.rows.items()}
    assert found == {"one": 1, "bad": "ZeroDivisionError: division by zero", "late": "again"}


def test_an_architecture_is_checked_and_timed(gpu, monkeypatch):
    small = lambda name, size, *changes, batch: build_small(name, *changes, steps=100)  # noqa: E731
    monkeypatch.setattr(gpu, "build", small)
    row = gpu.check_precision("gated", "bf16", 64, 4, 3, CPU)
    assert row["result"] == "trains"
    assert float(row["loss"]) < gpu.CLOSE
    assert gpu.check_twice("gated", 64, 4, CPU) == {"result": "the same bits"}
    row = gpu.speed_of("gated", 64, 4, "full", 1e12, CPU)
    assert float(row["images/s"]) > 0 < float(row["fills/s"])


def test_weights_are_split_and_joined(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PART", 10)
    whole = tmp_path / "whole"
    whole.write_bytes(bytes(range(25)))
    study.split_file(whole, tmp_path / "parts")
    assert max(path.stat().st_size for path in (tmp_path / "parts").glob("*.part")) == 10
    study.join_parts(tmp_path / "parts", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == whole.read_bytes()
    (tmp_path / "parts" / "001.part").write_bytes(b"else")
    with pytest.raises(ValueError, match="do not give the file that was cut"):
        study.join_parts(tmp_path / "parts", tmp_path / "again")


def test_what_is_alike_is_mistaken_half_of_the_time_and_what_differs_never(study):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(80, 200, generator=rng)
    other = torch.randn(80, 200, generator=rng)
    assert 0.3 < study.separation(features, other) < 0.7
    shifted = features + 2 * torch.randn(200, generator=rng)
    assert study.separation(shifted, features) < 0.02


def test_only_neighbours_in_the_hole_have_gradients(study):
    image, mask = torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    image[..., 2:] = 1
    assert study.gradient_energy(image, mask) == 0
    mask[..., 1:3, 1:3] = True
    assert study.gradient_energy(image, mask) == 3 * 2


def test_steps_of_a_study_are_times_one_factor_and_kept(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "time_stage", lambda built, stage, device: 0.01)
    chosen = study.fit_study(study.STUDIES["spn"], tmp_path, 64)
    options = SimpleNamespace(minutes=1.0)
    steps = study.plan_steps(chosen, tmp_path, options, CPU)
    assert len({tuple(stages.values()) for stages in steps.values()}) == 1  # 1500 each
    assert sum(sum(s.values()) for s in steps.values()) * 0.01 == pytest.approx(36, rel=0.02)
    monkeypatch.setattr(study, "time_stage", lambda *_: 1 / 0)
    assert study.plan_steps(chosen, tmp_path, options, CPU) == steps
    last = study.at_length(chosen, steps).trainings["spn"].settings
    assert last.endswith(f"stages.fill.steps={steps['spn']['fill']}")
