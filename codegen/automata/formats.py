"""The `format`s of JSON Schema as regular expressions: each text is one that the RFC allows.

Some texts that an RFC allows are left out: years before 1, leap seconds, more than nine digits of a
second's fraction, UUIDs in upper case; and of addresses quoted names, comments, names over 62
characters or of over three parts, and hosts of over four labels.
"""

from __future__ import annotations

from functools import cache

from sglc.codegen.automata.expr import Expr
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.source import NotSupported

_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
# years divisible by 4 that are no centuries, and centuries divisible by 400
_LEAP_YEAR = (
    r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])"
    r"|(?:0[48]|[2468][048]|[13579][26])00)"
)
_DAY = r"(?:0[1-9]|1[0-9]|2[0-8])"  # of every month
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[1-9]|1[0-2])-{_DAY}|(?:0[13-9]|1[0-2])-(?:29|30)"
    rf"|(?:0[13578]|1[02])-31)|{_LEAP_YEAR}-02-29)"
)
_HOURS = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOURS}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_HOURS})"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"

FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
    "email": rf"{_ATOM}(?:\.{_ATOM}){{0,2}}@{_LABEL}(?:\.{_LABEL}){{0,2}}\.[A-Za-z]{{2,20}}",
}


def format_text(name: str, pointer: str) -> Expr:
    """The texts of a format; `pointer` says where it is asked for."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        message = f"the format `{name}` is not supported; those that are: {known}"
        raise NotSupported(message, pointer=pointer)
    return _parsed(name)


@cache
def _parsed(name: str) -> Expr:
    return parse_regex(FORMATS[name])
