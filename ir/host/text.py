"""Values as text (rule 11 of the language): a str as it is, everything else as compact JSON.

Law: `parse_json(json_text(v)) == v`; floats keep every bit. NaN and infinity are refused.
"""

from __future__ import annotations

import json
import re

from sglc.ir.host.error import HostError, check_text, kind, too_large, type_error, value_error
from sglc.ir.host.expr import Value

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_LONG_NUMBER = re.compile(r"\d{7,}")


def to_text(value: Value) -> str:
    """The text that `{value}` appends."""
    return value if isinstance(value, str) else json_text(value)


def json_text(value: Value) -> str:
    """Compact JSON: no spaces, characters as they are, fields in their order."""
    try:
        return _encode(value)
    except RecursionError:
        raise too_large("a value nested too deeply to be written as JSON") from None
    except TypeError:
        raise type_error(f"cannot write {kind(value)} as JSON") from None
    except ValueError:
        raise value_error("NaN and infinity have no JSON text") from None


def parse_json(text: str) -> Value:
    """The value of a JSON text. Refuses NaN, infinities, and halves of surrogate pairs."""
    try:
        value: Value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise too_large("JSON nested too deeply") from None
    except json.JSONDecodeError as error:
        raise value_error(
            f"not JSON: {_phrase(error.msg)} at line {error.lineno} column {error.colno}"
        ) from None
    except ValueError:
        raise too_large("JSON with an integer of too many digits") from None
    if "\\" in text and has_lone_surrogate(json_text(value)):
        raise value_error("JSON with half of a surrogate pair")
    return value


def has_lone_surrogate(text: str) -> bool:
    """True when the text holds half of a surrogate pair, which no UTF-8 can carry."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def format_text(value: Value, spec: str) -> str:
    """`{value:spec}`: Python's format of numbers and texts; of other values, that of their text."""
    if _LONG_NUMBER.search(spec):
        raise too_large(f"a format width or precision as large as in `{spec}`")
    shown = value if isinstance(value, str) or is_number(value) else to_text(value)
    if spec.endswith("n") and is_number(value):
        raise value_error("format code `n` depends on the machine's locale")
    try:
        text = format(shown, spec)
    except (ValueError, OverflowError, TypeError):
        raise value_error(f"cannot format {kind(value)} with `{spec}`") from None
    check_text(len(text))
    if has_lone_surrogate(text) and not (isinstance(shown, str) and has_lone_surrogate(shown)):
        raise value_error("a format code that makes half of a surrogate pair")
    return text


def is_number(value: Value) -> bool:
    """True of int and float; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_constant(name: str) -> Value:
    raise HostError("value_error", f"not JSON: `{name}` is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise HostError("value_error", f"the number {digits} is beyond a float")
    return number


def _phrase(message: str) -> str:
    return message[:1].lower() + message[1:]
