"""Which row starts next."""

from __future__ import annotations

from collections.abc import Iterable

from sglc.runtime.row import BoundRow
from sglc.runtime.row_order import (
    MOST_PASSED,
    PATIENCE,
    Arrival,
    Planned,
    RowOrder,
    Shuffled,
)


def beginnings(rows: Iterable[BoundRow]) -> dict[int, bytes]:
    return {row.index: str(row.values["text"]).encode() for row in rows}


def fill(order: RowOrder, texts: list[str]) -> None:
    for place, text in enumerate(texts):
        order.put(place, BoundRow(place, b"", {"text": text}))


def take_all(order: RowOrder) -> list[int]:
    return [order.take(all_start=False)[0] for _ in range(len(order))]


def documents(kinds: str) -> list[str]:
    return ["all begin so" + kind * 200 + str(place) for place, kind in enumerate(kinds)]


def test_rows_that_begin_alike_follow_one_another() -> None:
    order = Planned(beginnings, chunk=8)
    fill(order, documents("abcabcab"))
    assert order.oldest == 0
    assert take_all(order) == [0, 3, 6, 1, 4, 7, 2, 5]


def test_with_nothing_shared_rows_start_as_they_were_read() -> None:
    order = Planned(beginnings, chunk=4)
    fill(order, ["all begin so " + str(place) for place in range(8)])
    assert take_all(order) == list(range(8))


def test_a_row_that_shares_with_one_in_flight_comes_before_older_ones() -> None:
    order = Planned(beginnings, chunk=4)
    fill(order, documents("abca"))
    assert [order.take(all_start=False)[0] for _ in range(2)] == [0, 3]
    assert order.take(all_start=False)[0] == 1
    order.end(0)
    order.end(3)
    order.put(4, BoundRow(4, b"", {"text": documents("bbbbb")[4]}))
    order._chunk = 1  # looked at at once
    assert order.take(all_start=False)[0] == 4
    assert take_all(order) == [2]


def test_where_nothing_is_shared_looks_become_rare() -> None:
    """And frequent again once something is; rows start as they were read all the while."""
    looked: list[int] = []

    def noted(rows: Iterable[BoundRow]) -> dict[int, bytes]:
        found = beginnings(rows)
        looked.extend(found)
        return found

    order = Planned(noted, chunk=4)
    for place in range(4000):
        order.put(place, BoundRow(place, b"", {"text": f"{place:05}" + "?" * 99}))
        if place % 4 == 3:
            assert take_all(order) == list(range(place - 3, place + 1))
            for index in range(place - 3, place + 1):
                order.end(index)
    assert looked[: 4 * PATIENCE] == list(range(4 * PATIENCE))
    assert 4000 / (MOST_PASSED + 1) <= len(looked) < 4000 / 8
    assert not order._groups
    looked.clear()
    for place in range(4000, 4400):
        order.put(place, BoundRow(place, b"", {"text": "ab"[place % 2] * 200 + str(place)}))
        if place % 4 == 3:
            take_all(order)
    first = looked[0]
    assert first - 4000 <= 4 * (MOST_PASSED + 1)
    assert looked == list(range(first, 4400))


def test_where_all_rows_start_none_is_looked_at() -> None:
    def never(rows: Iterable[BoundRow]) -> dict[int, bytes]:
        raise AssertionError

    order = Planned(never, chunk=100)
    fill(order, documents("aba"))
    assert [order.take(all_start=True)[0] for _ in range(3)] == [0, 1, 2]


def test_arrival_and_random() -> None:
    arrival, shuffled = Arrival(), Shuffled()
    for order in (arrival, shuffled):
        fill(order, documents("abcabcab"))
    assert take_all(arrival) == list(range(8))
    found = take_all(shuffled)
    assert sorted(found) == list(range(8)) != found
    assert shuffled.oldest is None
