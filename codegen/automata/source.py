"""A constraint as the author wrote it: what is compiled, cached by, and written into the plan."""

from __future__ import annotations

from dataclasses import dataclass

from sglc.ir.types import Type


@dataclass(frozen=True, slots=True)
class ConstraintSource:
    """`kind` is "type", "regex", "json_schema", "ebnf" or "choices".

    `type` holds a type; `text` the regex, the GBNF text, or the schema or the list of choices as
    compact JSON. `in_record` marks a field of a record that is cut into pieces: a str is written
    without its quotes (they belong to the forced text around it) but with JSON's escapes.
    `lead` is forced text before the value that the tokens may merge with: the gen writes it first.
    `follow` is forced text after the value: tokens may reach into it, and reaching it ends the gen.
    Neither is part of the value.
    """

    kind: str
    type: Type | None = None
    text: str = ""
    in_record: bool = False
    lead: str = ""
    follow: str = ""


class ConstraintError(Exception):
    """The source is no constraint. `offset` is a place in `text` in characters (regex, ebnf, JSON
    that does not parse), `pointer` a JSON pointer into the schema; each None where it says nothing.
    """

    def __init__(
        self, message: str, *, offset: int | None = None, pointer: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.offset, self.pointer = message, offset, pointer


class NotSupported(ConstraintError):
    """The source is one, but of a kind that cannot be kept to."""


class NoText(ConstraintError):
    """The source is one that no text satisfies."""
