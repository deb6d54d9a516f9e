"""Numbers against Python's: every int of small ranges, decimals at and around their bounds."""

from __future__ import annotations

import math
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.numbers import (
    FLOAT_DIGITS,
    INT_DIGITS,
    any_float,
    float_between,
    int_between,
)
from sglc.codegen.automata.source import NoText

BOUNDS = [None, -1200, -101, -100, -10, -1, 0, 1, 9, 10, 19, 99, 100, 256, 1005]


@pytest.mark.parametrize("low", BOUNDS, ids=str)
def test_every_int_of_a_range(low: int | None, accepts) -> None:
    texts = {str(n): n for n in range(-1300, 1300)}
    for high in BOUNDS:
        if low is not None and high is not None and low > high:
            with pytest.raises(NoText):
                byte_dfa(int_between(low, high))
            continue
        dfa = byte_dfa(int_between(low, high))
        found = {text for text in texts if accepts(dfa, text)}
        wanted = {
            text
            for text, n in texts.items()
            if (low is None or n >= low) and (high is None or n <= high)
        }
        assert found == wanted, (low, high)
        assert not any(accepts(dfa, text) for text in ("-0", "00", "01", "+1", "", "-", "1.0"))


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30), st.data())
def test_large_ints(accepts, low: int, width: int, data) -> None:
    high = low + width
    dfa = byte_dfa(int_between(low, high))
    for n in (low, high, data.draw(st.integers(low, high))):
        assert accepts(dfa, str(n))
    for n in (low - 1, high + 1, -high - 1):
        assert accepts(dfa, str(n)) == (low <= n <= high)


def test_ints_without_a_bound_are_of_so_many_digits(accepts) -> None:
    dfa = byte_dfa(int_between(0, None))
    assert accepts(dfa, "9" * INT_DIGITS) and not accepts(dfa, "1" + "0" * INT_DIGITS)
    dfa = byte_dfa(int_between(10**25, None))
    assert accepts(dfa, "9" * 27) and not accepts(dfa, "9" * 25)


floats = st.floats(-1e6, 1e6) | st.integers(-1000, 1000) | st.sampled_from([0.1, 0.25, -0.5, 1e-9])


@settings(max_examples=100, deadline=None)
@given(floats, floats, st.booleans(), st.booleans(), st.data())
def test_decimals_between_bounds(accepts, one, other, is_above, is_below, data) -> None:
    """A text is accepted exactly if the float that it is read as lies within the bounds; close to a
    bound, where more than FLOAT_DIGITS digits would tell them apart, it need not be."""
    low, high = sorted([one or 0, other or 0])  # no -0.0, which is no bound below 0.0
    lows = {"above": low} if is_above else {}
    highs = {"below": high} if is_below else {}
    try:
        dfa = byte_dfa(
            float_between(None if is_above else low, None if is_below else high, **lows, **highs)
        )
    except NoText:
        assert high - low <= 10.0**-FLOAT_DIGITS
        return
    near = [low, high, math.nextafter(low, high), (low + high) / 2, 0, low - 1, high + 1]
    near.append(data.draw(st.floats(low, high)))
    digits = data.draw(st.integers(0, FLOAT_DIGITS))
    unit = Decimal(1).scaleb(-digits)
    for number in near:
        text = f"{Decimal(number).quantize(unit):f}"
        value = float(text)
        is_within = (value > low if is_above else value >= low) and (
            value < high if is_below else value <= high
        )
        if not is_within or (text.startswith("-0") and not value):
            assert not accepts(dfa, text), text
        elif min(abs(value - low), abs(value - high)) > 1e-9 or value in (low, high):
            assert accepts(dfa, text) or (value in (low, high) and len(repr(value)) > 15), text


@pytest.mark.parametrize(
    ("bounds", "accepted", "refused"),
    [
        ({"low": 0.1, "high": 0.3}, ["0.1", "0.10", "0.3", "0.2999"], ["0.09", "0.31", "0", "1"]),
        ({"above": 0, "below": 1}, ["0.1", "0.999999999999999"], ["0", "0.0", "1", "1.0"]),
        ({"low": 1e22, "high": 1e23}, ["1" + "0" * 22], ["1" + "0" * 23, "9" * 22]),
        ({"above": 10**6}, ["1000000.000000001"], ["1000000", "1000000.00000000001", "999999"]),
        ({"low": 2**53 + 1, "high": 2**53 + 4}, [str(2**53 + 2)], [str(2**53), f"{2**53 + 1}.0"]),
        ({"low": -(10**400), "high": 10**400}, ["0", "-5.5"], ["1" + "0" * 309]),
    ],
)
def test_bounds_as_floats_are_read(bounds, accepted, refused, accepts) -> None:
    dfa = byte_dfa(float_between(bounds.pop("low", None), bounds.pop("high", None), **bounds))
    assert [accepts(dfa, text) for text in accepted] == [True] * len(accepted)
    assert [accepts(dfa, text) for text in refused] == [False] * len(refused)


def test_a_float_without_bounds(accepts) -> None:
    dfa = byte_dfa(any_float())
    for text in ("0", "-1", "3.25", "6.02e23", "1E-7", "-0.0", "9" * FLOAT_DIGITS + "e99", "0e5"):
        assert accepts(dfa, text) and math.isfinite(float(text)), text
    for text in ("-0", "01", "1.", ".5", "1e", "1e100", "+1", "inf", "9" * (FLOAT_DIGITS + 1)):
        assert not accepts(dfa, text), text
