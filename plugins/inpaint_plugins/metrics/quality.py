"""The metrics of pyiqa, under their names there: `pyiqa:musiq`.

They are made when they are first used, with that package, which fetches their weights itself.
"""

from functools import cache
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from inpaint_cli.api import ImageMetric, InpaintError, unit


class PyIQA(ImageMetric):
    """A metric of pyiqa by its name, as `pyiqa:musiq`; needs the extra `pyiqa`.

    Those without a reference score the fill alone.
    """

    uses = ("pyiqa",)
    name: str = Field(description="Its name in pyiqa, such as musiq, niqe, dists or topiq_fr.")

    @property
    def better(self) -> Literal["higher", "lower"]:  # type: ignore[override]
        return "lower" if pyiqa_metric(self.name).lower_better else "higher"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        metric = pyiqa_metric(self.name).to(filled.device)
        images = [unit(filled, torch.float32)]
        if metric.metric_mode == "FR":
            images.append(unit(truth, torch.float32))
        with torch.inference_mode():
            scores = [metric(*(image[n : n + 1] for image in images)) for n in range(len(filled))]
        return torch.stack([torch.as_tensor(s).double().mean() for s in scores])


@cache
def pyiqa_metric(name: str) -> Any:
    """Return the metric of pyiqa called `name`. Raises `InpaintError` where there is none."""
    try:
        import pyiqa  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InpaintError(
            f"pyiqa:{name} needs a package that is not installed: pip install 'inpaint-cli[pyiqa]'"
        ) from error
    known = pyiqa.list_models()
    if name not in known:
        raise InpaintError(f"pyiqa has no metric '{name}'; it has: {', '.join(known)}")
    if "fid" in name or name == "inception_score":
        raise InpaintError(f"pyiqa:{name} scores whole sets; use our fid or kid")
    return pyiqa.create_metric(name, device=torch.device("cpu"))
