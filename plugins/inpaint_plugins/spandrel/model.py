"""Reading of published inpainting networks, recognised and rebuilt by the spandrel package.

Only tensors are read from a file: pickles with `weights_only`, and TorchScript archives
(big-lama.pt) without their program. MAT needs the separate package spandrel-extra-arches, whose
architectures are not all free for commercial use.
"""

import pickle
import struct
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from spandrel import (
    MaskedImageModelDescriptor,
    ModelDescriptor,
    ModelLoader,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from torch import Tensor, nn

from inpaint_cli.api import Foreign, Precision, Sizes, WeightsError, load_pickle

from .torchscript import is_torchscript, read_archive

LOAD_ERRORS = (  # raised for damaged files; the last two by old versions of torch
    SafetensorError,
    BadZipFile,
    RuntimeError,
    EOFError,
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
)


class DescribedNetwork(nn.Module):
    """A network called through its descriptor, one image at a time."""

    def __init__(self, descriptor: MaskedImageModelDescriptor[nn.Module]) -> None:
        super().__init__()
        self.model = descriptor.model  # registered, so that .to() reaches it
        self.descriptor = descriptor

    def forward(self, visible: Tensor, mask: Tensor) -> Tensor:
        pairs = zip(visible.split(1), mask.split(1), strict=True)
        return torch.cat([self.descriptor(image, hole) for image, hole in pairs])


def load_descriptor(path: Path) -> ModelDescriptor:
    """Let spandrel recognise the network in the file at `path`."""
    try:
        from spandrel_extra_arches import install  # pyright: ignore[reportMissingImports]
    except ImportError:
        pass
    else:
        install(ignore_duplicates=True)
    try:
        return ModelLoader().load_from_state_dict(
            keep_generator(canonicalize_state_dict(load_state(path)))
        )
    except UnsupportedModelError as error:
        raise WeightsError(
            f"{path} holds no network that spandrel knows; for MAT install spandrel-extra-arches"
        ) from error
    except (RuntimeError, LookupError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path} is damaged or of an unknown variant: {error}") from error


def keep_generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return LaMa's generator alone, without a wrapper's prefix; other tensors as they are."""
    plain = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    return {name: plain[name] for name in plain if name.startswith("generator.")} or state


def load_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the file at `path`, in any of the usual formats."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if is_torchscript(path):
            return read_archive(path)
        return load_pickle(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except LOAD_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path} is damaged or holds more than tensors: {reason}; get it as .safetensors"
        ) from error


def read_network(path: Path) -> Foreign:
    """Read the network in the file at `path`; raise `WeightsError` if it fills no holes."""
    descriptor = load_descriptor(path)
    name = descriptor.architecture.name
    if not isinstance(descriptor, MaskedImageModelDescriptor):
        what = f"{name} ({descriptor.purpose})"
        raise WeightsError(f"{path} holds {what}, which fills no holes; give an inpainting network")
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise WeightsError(f"{path} holds {name} for other than RGB images; give one for RGB")
    needs = descriptor.size_requirements
    precisions: list[Precision] = ["full"]
    if descriptor.supports_bfloat16:
        precisions.append("bf16")
    if descriptor.supports_half:
        precisions.append("fp16")
    return Foreign(
        name,
        DescribedNetwork(descriptor).eval(),
        Sizes(
            multiple=needs.multiple_of,
            minimum=max(1, needs.minimum),
            square=needs.square,
            window=needs.minimum if needs.square else 1024,  # MAT: made for one size
            context=128,
        ),
        tuple(precisions),
    )
