import os
import signal
import time
from collections.abc import Iterator

import pytest

from stages.harness.errors import InputError
from stages.harness.workers import in_order


def _slow_first(item: int) -> tuple[int, int]:
    time.sleep(0.3 if item == 0 else 0)
    return item, os.getpid()


def _refuse(item: int) -> int:
    if item in (2, 3):
        raise InputError(f"item {item}")
    return item


def _die(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_a_few_items_are_taken_ahead(processes: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(12):
            taken.append(item)
            yield item

    found = []
    for item, process in in_order(_slow_first, items(), "native", processes):
        assert len(taken) <= item + 2 + processes
        found.append((item, process == os.getpid()))
    assert found == [(item, processes == 1) for item in range(12)]


@pytest.mark.parametrize("processes", [1, 3])
def test_of_several_faults_the_first_is_told(processes: int) -> None:
    def items() -> Iterator[int]:
        yield from range(4)
        raise InputError("reading item 4")

    with pytest.raises(InputError, match="item 2"):
        list(in_order(_refuse, items(), "native", processes))


def test_a_worker_that_is_killed_is_a_line() -> None:
    with pytest.raises(InputError, match="a worker was killed"):
        list(in_order(_die, range(4), "native", 2))


def test_no_ray_and_no_cluster_are_a_line() -> None:
    with pytest.raises(InputError, match=r"^runner: (Ray isn't installed|ray://127.0.0.1:9: )"):
        list(in_order(_refuse, range(1), "ray://127.0.0.1:9", 1))
