from types import SimpleNamespace

import pytest
import torch

from inpaint_cli.errors import InpaintError
from inpaint_cli.runtime import devices


def test_auto_takes_the_first_that_is_there(monkeypatch):
    there = {"cpu"}
    monkeypatch.setattr(devices, "has_device", lambda kind: kind in there)
    assert devices.choose_device() == torch.device("cpu")
    there.add("mps")
    assert devices.choose_device("auto") == torch.device("mps")
    there.add("cuda")
    assert devices.choose_device("auto") == torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gpu", "no device is called 'gpu'"),
        ("cuda:99", "no device 'cuda:99'"),
        ("xpu", "no device"),
    ],
)
def test_devices_that_are_not_there(name, told):
    with pytest.raises(InpaintError, match=told):
        devices.choose_device(name)


def test_precision_is_limited_by_what_the_model_allows():
    cpu = torch.device("cpu")
    assert devices.choose_precision("auto", ("full", "bf16"), cpu) == "full"
    assert devices.choose_precision("bf16", ("full", "bf16"), cpu) == "bf16"
    with pytest.raises(InpaintError, match="cannot run in fp16; use --precision full or bf16"):
        devices.choose_precision("fp16", ("full", "bf16"), cpu)


def test_auto_is_bf16_on_cuda_where_it_is_native(monkeypatch):
    native = True
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: native)
    cuda = torch.device("cuda")
    assert devices.choose_precision("auto", ("full", "bf16"), cuda) == "bf16"
    assert devices.choose_precision("auto", ("full",), cuda) == "full"
    native = False
    assert devices.choose_precision("auto", ("full", "bf16"), cuda) == "full"


def test_autocast_reaches_convolutions():
    net, image = torch.nn.Conv2d(3, 1, 1), torch.ones(1, 3, 2, 2)
    with devices.autocast(torch.device("cpu"), "bf16"):
        assert net(image).dtype == torch.bfloat16
    with devices.autocast(torch.device("cpu"), "full"):
        assert net(image).dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "yes"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("[enforce fail] not enough memory: you tried to allocate"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("shapes do not agree"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_out_of_memory_is_told_from_bugs(error, yes):
    assert devices.is_out_of_memory(error) is yes


def test_an_allocation_that_cannot_be_is_out_of_memory():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert devices.is_out_of_memory(error.value)


def test_memory_is_kept_once(monkeypatch):
    calls = []
    library = SimpleNamespace(mallopt=lambda *call: calls.append(call) or 1)
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr(devices, "ctypes", SimpleNamespace(CDLL=lambda name: library))
    devices.keep_freed_memory.cache_clear()
    assert devices.keep_freed_memory()
    assert devices.keep_freed_memory()
    assert sorted(calls) == [(-4, 0), (-1, 2**31 - 1)]
    devices.keep_freed_memory.cache_clear()
