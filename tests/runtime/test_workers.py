"""Every item comes back, whatever happens to the process that had it."""

import os
import signal

import pytest

from inpaint_cli.errors import InpaintError
from inpaint_cli.runtime.workers import run_in_workers


def square(item: int) -> tuple[int, int]:
    """The square, and the process; item 3 kills its process."""
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item, os.getpid()


def begin():
    return square


def refuse():
    raise InpaintError("no model")


def test_a_process_that_dies_loses_only_its_own_item():
    results = dict(run_in_workers(begin, range(8), 2))
    assert results.pop(3) is None
    assert {item: result and result[0] for item, result in results.items()} == {
        item: item * item for item in range(8) if item != 3
    }
    assert os.getpid() not in {result[1] for result in results.values() if result}


def test_one_worker_is_this_process_and_keeps_the_order():
    results = list(run_in_workers(begin, [2, 1, 0], 1))
    assert results == [(n, (n * n, os.getpid())) for n in (2, 1, 0)]


def test_an_error_of_the_preparation_is_raised():
    with pytest.raises(InpaintError, match="no model"):
        list(run_in_workers(refuse, range(4), 2))


def test_no_worker_outlives_the_generator():
    results = run_in_workers(begin, range(100, 200), 2)
    _, first = next(results)
    results.close()
    assert first
    with pytest.raises(ProcessLookupError):
        os.kill(first[1], 0)
