"""From the text of a regular expression to the texts that `re.fullmatch` accepts.

The syntax and its flags are read by `re`'s own parser, so that a pattern means here what it means
there, and an error is `re`'s error. What cannot be a set of texts by itself (looking around, back
references, possessive repeats, word boundaries) is refused, and so are anchors inside a pattern.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from re import _constants as _op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from sglc.codegen.automata import char_sets
from sglc.codegen.automata.char_sets import Ranges
from sglc.codegen.automata.expr import Alt, Chars, Expr, Repeat, Seq, Text
from sglc.codegen.automata.regex_place import Construct, place_of
from sglc.codegen.automata.source import ConstraintError, NotSupported

_EMPTY = Text("")
_NEWLINE = char_sets.one(ord("\n"))
_CATEGORIES = {
    _op.CATEGORY_DIGIT: "d",
    _op.CATEGORY_NOT_DIGIT: "D",
    _op.CATEGORY_SPACE: "s",
    _op.CATEGORY_NOT_SPACE: "S",
    _op.CATEGORY_WORD: "w",
    _op.CATEGORY_NOT_WORD: "W",
}
_REFUSED = {
    _op.ASSERT: Construct.LOOK_AROUND,
    _op.ASSERT_NOT: Construct.LOOK_AROUND,
    _op.FAILURE: Construct.LOOK_AROUND,  # (?!) in some versions
    _op.GROUPREF: Construct.REFERENCE,
    _op.GROUPREF_EXISTS: Construct.CONDITION,
    _op.ATOMIC_GROUP: Construct.ATOMIC,
    _op.POSSESSIVE_REPEAT: Construct.POSSESSIVE,
}
_STARTS = (_op.AT_BEGINNING, _op.AT_BEGINNING_STRING)
_ENDS = (_op.AT_END, _op.AT_END_STRING)
_Item = tuple[Any, Any]  # an operation of re's parser and its argument


def parse_regex(pattern: str) -> Expr:
    """The texts that match all of `pattern` (Python's `re`, str patterns, inline flags).

    Raises ConstraintError with an offset where the pattern is invalid or not supported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # re's advice on style
            tree = _parser.parse(pattern)
        return _Translation(pattern).sequence(tree.data, tree.state.flags, True, True)
    except re.error as error:
        raise ConstraintError(error.msg, offset=error.pos) from error
    except RecursionError as error:
        raise ConstraintError("the regex is nested too deeply") from error
    except OverflowError as error:
        raise ConstraintError(str(error)) from error


class _Translation:
    """From re's tree to an Expr; `at_start` and `at_end` say that only nothing lies between here
    and that end of the whole text."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._meanings: dict[Any, Callable[[Any, int, bool, bool], Expr]] = {
            _op.BRANCH: self._branch,
            _op.SUBPATTERN: self._group,
            _op.MAX_REPEAT: self._repeat,
            _op.MIN_REPEAT: self._repeat,
            _op.AT: self._anchor,
        }

    def sequence(self, items: Sequence[_Item], flags: int, at_start: bool, at_end: bool) -> Expr:
        parts: list[Expr] = []
        for place, item in enumerate(items):
            starts = at_start and all(op is _op.AT for op, _ in items[:place])
            ends = at_end and all(op is _op.AT for op, _ in items[place + 1 :])
            part = self._item(item, flags, starts, ends)
            if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + part.text)
            elif part != _EMPTY:
                parts.append(part)
        return parts[0] if len(parts) == 1 else Seq(tuple(parts)) if parts else _EMPTY

    def _item(self, item: _Item, flags: int, at_start: bool, at_end: bool) -> Expr:
        op, argument = item
        if op in self._meanings:
            return self._meanings[op](argument, flags, at_start, at_end)
        ranges = _characters(item, flags)
        if ranges is None:
            raise self._refusal(_REFUSED[op])
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
            return Text(chr(ranges[0][0]))
        return Chars(ranges)

    def _branch(self, argument: Any, flags: int, at_start: bool, at_end: bool) -> Expr:
        _, options = argument
        return Alt(tuple(self.sequence(items, flags, at_start, at_end) for items in options))

    def _group(self, argument: Any, flags: int, at_start: bool, at_end: bool) -> Expr:
        _, added, removed, items = argument
        return self.sequence(items, (flags | added) & ~removed, at_start, at_end)

    def _repeat(self, argument: Any, flags: int, at_start: bool, at_end: bool) -> Expr:
        low, high, items = argument
        is_once = high == 1
        item = self.sequence(items, flags, at_start and is_once, at_end and is_once)
        return Repeat(item, low, None if high is _op.MAXREPEAT else high)

    def _anchor(self, anchor: Any, flags: int, at_start: bool, at_end: bool) -> Expr:
        if (anchor in _STARTS and at_start) or (anchor in _ENDS and at_end):
            return _EMPTY
        if anchor in _STARTS:
            raise self._refusal(Construct.START)
        raise self._refusal(Construct.END if anchor in _ENDS else Construct.BOUNDARY)

    def _refusal(self, construct: Construct) -> NotSupported:
        return NotSupported(
            f"a regex that constrains cannot have {construct.value}",
            offset=place_of(construct, self._pattern),
        )


def _characters(item: _Item, flags: int) -> Ranges | None:
    """The characters that an operation matches; None if it does not match one character."""
    op, argument = item
    if op is _op.ANY:
        return char_sets.ALL if flags & re.DOTALL else char_sets.negate(_NEWLINE)
    if op is _op.LITERAL:
        return _class([item], flags)
    if op is _op.NOT_LITERAL:
        return char_sets.negate(_class([(_op.LITERAL, argument)], flags))
    if op is _op.IN:
        is_negated = argument[0][0] is _op.NEGATE
        ranges = _class(argument[1:] if is_negated else argument, flags)
        return char_sets.negate(ranges) if is_negated else ranges
    return None


def _class(members: Sequence[_Item], flags: int) -> Ranges:
    ascii_only = bool(flags & re.ASCII)
    parts = []
    for op, argument in members:
        if op is _op.LITERAL:
            parts.append(char_sets.one(argument))
        elif op is _op.RANGE:
            parts.append((argument,))
        else:
            parts.append(char_sets.category(_CATEGORIES[argument], ascii_only=ascii_only))
    ranges = char_sets.union(*parts)
    return char_sets.ignore_case(ranges, ascii_only=ascii_only) if flags & re.IGNORECASE else ranges
