"""How a host expression fails, and the sizes beyond which it is made to fail.

Law: whatever a program computes on the host, it ends in a value or in a `HostError`; no Python
exception and no runaway allocation leaves the evaluator.
"""

from __future__ import annotations

from sglc.ir.host.expr import Value
from sglc.ir.span import Span

MAX_TEXT = 50_000_000  # characters of one text
MAX_ITEMS = 5_000_000  # items of one list or dict
MAX_STEPS = 10_000_000  # rounds of all comprehensions of one evaluation
MAX_INT_BITS = 14_000  # so that every int has under 4300 digits, which is what Python prints
MAX_DEPTH = 200  # nesting of lists and dicts


class HostError(Exception):
    """A host expression failed; the row fails with it, or `try` takes the default.

    `code` is one of "type_error", "value_error", "index_error", "key_error", "zero_division",
    "too_large", "timeout" and "unsupported". `message` is a lower-case phrase. `span` is the
    innermost expression that has one.
    """

    def __init__(self, code: str, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span

    def __str__(self) -> str:
        return self.message


def type_error(message: str) -> HostError:
    return HostError("type_error", message)


def value_error(message: str) -> HostError:
    return HostError("value_error", message)


def too_large(message: str) -> HostError:
    return HostError("too_large", message)


def kind(value: Value) -> str:
    """What people call a value of this sort: "a str", "an int", "null"."""
    if value is None:
        return "null"
    name = type(value).__name__
    return f"an {name}" if name == "int" else f"a {name}"


def check_text(length: int) -> None:
    """Refuse a text of so many characters where that is over `MAX_TEXT`."""
    if length > MAX_TEXT:
        raise too_large(f"a text of {length} characters; the limit is {MAX_TEXT}")


def check_items(count: int) -> None:
    """Refuse a list or dict of so many items where that is over `MAX_ITEMS`."""
    if count > MAX_ITEMS:
        raise too_large(f"a list of {count} items; the limit is {MAX_ITEMS}")


def check_bits(bits: float) -> None:
    """Refuse an integer of so many bits where that is over `MAX_INT_BITS`."""
    if bits > MAX_INT_BITS:
        raise too_large(f"an integer of over {MAX_INT_BITS} bits")
