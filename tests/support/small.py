"""Settings that make the built-in architectures quick to test: {model, task} of a recipe."""

from typing import Any

from inpaint_cli.recipe.read import open_recipe
from inpaint_cli.training.build import Built, build_training

PARSED = {  # the model of an mdrnets whose parser learns
    "parser": "bisenet", "classes": 14, "parser_size": 64, "parser_width": 8, "levels": 3,
    "coarse_width": 4, "width": 4,
}  # fmt: skip
SPN = {"width": 8, "blocks": 1, "dense_blocks": 1}

SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "gated": {"model": {"width": 4}, "task": {"critic": 4}},
    "gaussian": {"model": {"side": 4, "sight": 32, "width": 4, "levels": 2}},
    "gmsrm": {"model": {"width": "tiny"}, "task": {"vgg": "random", "critic": 8}},
    "in2": {
        "model": {"width": 8, "depth": 1, "heads": 2, "rows": 16},
        "task": {"critic": 4, "vgg": "none"},
    },
    "lama": {
        "model": {"width": 4, "blocks": 1, "downsamplings": 2},
        "task": {"critic": 4, "critic_layers": 2, "vgg": "none"},
    },
    "mdrnets": {
        "model": {
            "levels": 3,
            "coarse_width": 4,
            "width": 4,
            "parser": "template",
            "slots": 2,
            "enough": 1,
        },
        "task": {"vgg": "none", "critic": 4, "recon": 4},
    },
    "pconv": {"model": {"levels": 3, "width": 4}, "task": {"vgg": "none"}},
    "portrait": {
        "model": {
            "side": 4,
            "sight": 32,
            "width": 4,
            "levels": 2,
            "canvas": 32,
            "detail_width": 4,
            "detail_levels": 1,
            "detail_blocks": 1,
        },
        "task": {"critic": 4},
    },
    "spl": {"model": SPN, "task": {"pretext": "random", "critic": 8}},
    "spn": {"model": SPN, "task": {"pretext": "random", "critic": 8}},
    "spn-p": {"model": SPN, "task": {"pretext": "random", "critic": 8, "vgg": "random"}},
}


def build_small(
    name: str, *changes: str, model: dict[str, Any] | None = None, steps: int = 1
) -> Built:
    """Build the training of an architecture at 64 pixels."""
    section = {**SMALL[name], "model": model or SMALL[name]["model"]}
    own = [f"architectures.{name}={section}", "data.size=64", "batch=4", f"steps={steps}"]
    return build_training(name, *open_recipe("smoke", [*own, *changes], None))
