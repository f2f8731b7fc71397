"""The benchmark of variants: its tables, and that its trainings can be begun."""

import importlib
import json
from itertools import pairwise

import pytest
from places import ROOT

from inpaint_cli.recipe.read import find_recipe, read_recipe
from inpaint_cli.training.build import build_training


@pytest.fixture
def learning(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("learning")


def test_a_table_compares_the_images_of_a_column_pair_by_pair(learning, tmp_path):
    """Gains that are the same for each image leave no doubt, however far apart images are."""
    test = learning.Test("two bins", {"bins": ["[1, 20]", "(20, 40]"]})
    variants = {"a": learning.Variant("x"), "b": learning.Variant("y", "a")}
    bench = learning.Bench(learning.Study("", "", {}, variants, {"t": test}), tmp_path, tmp_path)
    images = [(0.1, 10.0), (0.2, 30.0), (0.3, 20.0), (0.5, 99.0)]
    for name, step in (("a", 0.0), ("b", 0.5)):
        folder = tmp_path / f"scores-t-{name}"
        folder.mkdir()
        found = [
            {"name": "x.png", "ratio": ratio, **dict.fromkeys(learning.METRICS, score + step)}
            for ratio, score in images
        ]
        (folder / "result.json").write_text(json.dumps({"images": found}), "utf-8")
    assert list(bench.tables("t"))[:4] == [
        "| PSNR of holes, dB | compared with | [1, 20] | (20, 40] |",
        "| --- | --- | ---: | ---: |",
        "| a |  | 20.00 | 20.00 |",
        "| b | a | 20.50, +0.50 [+0.50, +0.50] | 20.50, +0.50 [+0.50, +0.50] |",
    ]


@pytest.mark.parametrize("system", ["mdrnets", "gmsrm", "in2", "in2-rate", "spn"])
def test_the_trainings_of_a_study_can_be_begun(learning, system):
    study = learning.STUDIES[system]
    for name, training in study.trainings.items():
        line = training.arguments(name, str(learning.RECIPES / study.recipe))
        settings = [b for a, b in pairwise(line) if a == "--set"]
        recipe, source = read_recipe(find_recipe(line[2]), settings)
        built = build_training(training.architecture, recipe, source)
        assert built.steps > 0
        for item in training.init:
            assert item.rpartition("=")[2] in study.trainings
    for variant in study.variants.values():
        assert variant.training in study.trainings
        assert variant.against in {None, *study.variants}
