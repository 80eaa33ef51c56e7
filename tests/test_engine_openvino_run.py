"""Order, count, bounds and errors of the scheduler; threads that may be used."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protvec.engine.openvino.run import ordered
from protvec.engine.threads import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def each(work: Callable[[int], object]) -> Callable[[list[int]], list[object]]:
    return lambda items: [work(item) for item in items]


@given(
    costs=st.lists(st.integers(1, 50), max_size=60),
    workers=st.integers(1, 4),
    window=st.integers(1, 20),
    room=st.integers(1, 200),
    together=st.integers(1, 5),
)
def test_every_item_once_and_in_order(costs: list[int], workers: int, window: int, room: int, together: int) -> None:
    items = list(enumerate(costs))

    def work(some: list[tuple[int, int]]) -> list[tuple[int, int]]:
        assert len(some) <= together
        assert len({cost for _, cost in some}) == 1
        time.sleep(some[0][1] * 1e-6)
        return some

    results = ordered(
        iter(items),
        work,
        cost=lambda item: item[1],
        workers=workers,
        window=window,
        room=room,
        together=lambda _: together,
    )
    assert list(results) == items


def test_cheap_items_of_one_cost_go_together_and_are_shared() -> None:
    calls: list[list[int]] = []
    gate = threading.Event()

    def work(items: list[int]) -> list[int]:
        calls.append(items)
        gate.wait()
        return items

    costs = [9, 9, *[2] * 6, *[7] * 2, 1]
    results = ordered(
        costs, work, cost=int, workers=2, window=20, room=1000, together=lambda cost: 1 if cost > 5 else 4
    )
    opener = threading.Timer(0.2, gate.set)
    opener.start()
    assert list(results) == costs
    assert calls[:4] == [[9], [9], [7], [7]]
    assert max(map(len, calls[4:])) == 4  # half of the seven that wait, rounded up
    assert all(len(set(call)) == 1 for call in calls)
    opener.join()


def test_one_that_fails_does_not_harm_those_beside_it() -> None:
    def work(items: list[int]) -> list[float]:
        return [1 / item for item in items]

    results = ordered([4, 2, 0, 5], work, cost=lambda _: 1, workers=1, window=8, room=8, together=lambda _: 4)
    assert [next(results), next(results)] == [0.25, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_reading_ahead_is_bounded() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for i in range(1000):
            read += 1
            yield i

    results = ordered(items(), lambda some: some, cost=lambda _: 10, workers=2, window=100, room=50)
    for i in range(20):
        assert next(results) == i
        assert read <= i + 6
    results.close()


def test_an_item_larger_than_the_room_still_runs() -> None:
    assert list(ordered([5, 500, 5], each(str), cost=int, workers=2, window=10, room=50)) == ["5", "500", "5"]


def test_the_costliest_that_waits_starts_first() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work(cost: int) -> int:
        started.append(cost)
        gate.wait()
        return cost

    results = ordered([9, 9, 1, 5, 3, 7], each(work), cost=int, workers=2, window=10, room=1000)
    opener = threading.Timer(0.2, gate.set)
    opener.start()
    assert list(results) == [9, 9, 1, 5, 3, 7]
    assert sorted(started[2:4]) == [5, 7]
    opener.join()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_in_its_turn(workers: int) -> None:
    def work(item: int) -> float:
        return 1 / item

    results = ordered([1, 2, 0, 4], each(work), cost=lambda _: 1, workers=workers, window=8, room=8)
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_thread_outlives_a_consumer_that_stops() -> None:
    before = threading.active_count()
    results = ordered(iter(range(10**9)), lambda some: some, cost=lambda _: 1, workers=4, window=16, room=16)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def seen() -> int:
    return len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "garbage"}, None),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, None),
        ({"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 64),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content + "\n")
    assert available_cpus(tmp_path) == min(seen(), limit or seen())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_counts(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)
