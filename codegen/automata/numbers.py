"""Numbers as texts: no leading zeros, no plus sign, and every one within its bounds.

An int that has no bound on a side has there at most `INT_DIGITS` digits, or one more than its other
bound has. A float has as many digits before the point as its bounds have, and `FLOAT_DIGITS` where
it has none, and at most `FLOAT_DIGITS` after it; only one without any bound may have an exponent,
of one or two digits, and be -0.0. So every text is a finite number.
Knows nothing of types and schemas.
"""

from __future__ import annotations

import math
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from sglc.codegen.automata.build import DIGIT, EMPTY, NOTHING, alt, chars, optional, repeat, seq
from sglc.codegen.automata.expr import Expr

INT_DIGITS = 18
FLOAT_DIGITS = 15  # decimals of so many digits that differ are floats that differ

Number = int | float
_ZEROS, _NINES = "0" * FLOAT_DIGITS, "9" * FLOAT_DIGITS


def int_between(low: int | None, high: int | None) -> Expr:
    """The ints from `low` to `high`, both included; None is no bound."""
    limit = _limit(INT_DIGITS, [bound for bound in (low, high) if bound is not None])
    least = -limit if low is None else low
    most = limit if high is None else high
    return alt(_naturals(max(least, 0), most), seq("-", _naturals(max(-most, 1), -least)))


def any_float() -> Expr:
    """A decimal of at most `FLOAT_DIGITS` digits on either side of the point, maybe an exponent."""
    positive = seq(_digits("1", "9"), repeat(DIGIT, 0, FLOAT_DIGITS - 1))
    fraction = seq(".", repeat(DIGIT, 1, FLOAT_DIGITS))
    mark = chars((ord(e), ord(e)) for e in "Ee")
    exponent = seq(mark, alt("+", "-", EMPTY), repeat(DIGIT, 1, 2))
    # not -0, which is the int 0 with a second sign
    signed = seq("-", alt(seq(positive, optional(fraction)), seq("0", fraction)))
    return seq(alt(seq(alt("0", positive), optional(fraction)), signed), optional(exponent))


def float_between(
    low: Number | None,
    high: Number | None,
    *,
    above: Number | None = None,
    below: Number | None = None,
) -> Expr:
    """The decimals from `low` to `high`, both included, and between `above` and `below`, neither
    included; None is no bound."""
    if low is None and high is None and above is None and below is None:
        return any_float()
    lows = [_at_least(bound, is_open) for bound, is_open in ((low, False), (above, True))]
    highs = [_at_most(bound, is_open) for bound, is_open in ((high, False), (below, True))]
    bounds = [bound for bound in (*lows, *highs) if bound is not None]
    limit = Decimal(_limit(FLOAT_DIGITS, [int(bound) for bound in bounds]))
    least = max((bound for bound in lows if bound is not None), default=-limit)
    most = min((bound for bound in highs if bound is not None), default=limit)
    smallest = Decimal(1).scaleb(-FLOAT_DIGITS)
    return alt(
        _decimals(max(least, Decimal(0)), most), seq("-", _decimals(max(-most, smallest), -least))
    )


def _limit(digits: int, bounds: list[int]) -> int:
    """The largest number of `digits` digits, or of one more than the bounds have."""
    return int(10 ** max(digits, *(len(str(abs(bound))) + 1 for bound in bounds), 0)) - 1


def _at_least(bound: Number | None, is_open: bool) -> Decimal | None:
    """A decimal such that it and all above it are read as floats not under the bound, or, if the
    bound is open, above it: rounding keeps the order, so a float's own decimal will do."""
    if bound is None:
        return None
    value = _float(bound)
    if value < bound or (is_open and value == bound):
        value = math.nextafter(value, math.inf)
    # from 2**53 on a text without a point is compared as the exact int that it is
    return Decimal(value) if abs(value) >= 2**53 else Decimal(repr(value))


def _at_most(bound: Number | None, is_open: bool) -> Decimal | None:
    least = None if bound is None else _at_least(-bound, is_open)
    return None if least is None else -least


def _float(bound: Number) -> float:
    """The float nearest to the bound, a finite one."""
    try:
        return float(bound)
    except OverflowError:
        return sys.float_info.max if bound > 0 else -sys.float_info.max


def _naturals(low: int, high: int) -> Expr:
    """The ints from low, which is not negative, to high."""
    if low > high:
        return NOTHING
    if low == 0:
        return alt("0", _naturals(1, high))
    shortest, longest = len(str(low)), len(str(high))
    if shortest == longest:
        return _between(str(low), str(high))
    options = [_between(str(low), "9" * shortest), _between("1" + "0" * (longest - 1), str(high))]
    if longest - shortest > 1:
        options.append(seq(_digits("1", "9"), repeat(DIGIT, shortest, longest - 2)))
    return alt(*options)


def _between(low: str, high: str) -> Expr:
    """The digit strings between two of the same length."""
    if not low:
        return EMPTY
    rest = len(low) - 1
    if low[0] == high[0]:
        return seq(low[0], _between(low[1:], high[1:]))
    options: list[Expr] = []
    first, last = int(low[0]), int(high[0])
    if set(low[1:]) - {"0"}:
        options.append(seq(low[0], _between(low[1:], "9" * rest)))
        first += 1
    if set(high[1:]) - {"9"}:
        options.append(seq(high[0], _between("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        options.append(seq(_digits(str(first), str(last)), repeat(DIGIT, rest, rest)))
    return alt(*options)


def _decimals(low: Decimal, high: Decimal) -> Expr:
    """The decimals from low, which is not negative, to high."""
    with localcontext() as context:
        context.prec = 5000  # as many digits as an int may have
        scale = 10**FLOAT_DIGITS
        least = int((low * scale).to_integral_value(ROUND_CEILING))
        most = int((high * scale).to_integral_value(ROUND_FLOOR))
    if least > most:
        return NOTHING
    (first, start), (last, end) = divmod(least, scale), divmod(most, scale)
    low_digits, high_digits = str(start).zfill(FLOAT_DIGITS), str(end).zfill(FLOAT_DIGITS)
    if first == last:
        return seq(str(first), _fraction(low_digits, high_digits))
    options = [
        seq(str(first), _fraction(low_digits, _NINES)),
        seq(_naturals(first + 1, last - 1), _fraction(_ZEROS, _NINES)),
        seq(str(last), _fraction(_ZEROS, high_digits)),
    ]
    return alt(*options)


def _fraction(low: str, high: str) -> Expr:
    """A point and digits, or nothing: what is missing counts as zeros, and it is between two digit
    strings of the same length."""
    some = seq(".", _padded(low, high))
    return some if set(low) - {"0"} else optional(some)


def _padded(low: str, high: str) -> Expr:
    """One or more digits that, with zeros behind them, are between two strings of one length."""
    rest = len(low) - 1
    nines, zeros = "9" * rest, "0" * rest
    if low[0] == high[0]:
        return seq(low[0], _more(low[1:], high[1:]))
    first, last = int(low[0]), int(high[0])
    options: list[Expr] = []
    if low[1:] != zeros:
        options.append(seq(low[0], _more(low[1:], nines)))
        first += 1
    if high[1:] != nines:
        options.append(seq(high[0], _more(zeros, high[1:])))
        last -= 1
    if first <= last:
        options.append(seq(_digits(str(first), str(last)), repeat(DIGIT, 0, rest)))
    return alt(*options)


def _more(low: str, high: str) -> Expr:
    """More of `_padded`'s digits, or none where zeros would do."""
    some = _padded(low, high) if low else NOTHING
    return some if set(low) - {"0"} else alt(some, EMPTY)


def _digits(low: str, high: str) -> Expr:
    return chars([(ord(low), ord(high))])
