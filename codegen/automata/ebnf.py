r"""XGrammar's dialect of GBNF, read into `Rules`.

    root ::= "[" (item ("," item)*)? "]"   # a rule begins at the start of a line
    item ::= [0-9]{1,3} | "\"" [^"\\]* "\""

A rule goes on over lines until the next one. Literals and classes have C's escapes, `\xNN`,
`\uNNNN` and `\UNNNNNNNN`. Look-ahead `(=...)` and macros such as `TagDispatch(...)` are refused,
and so is a rule whose text begins with the rule itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sglc.codegen.automata import char_sets
from sglc.codegen.automata.build import alt, chars, repeat, seq
from sglc.codegen.automata.expr import Expr, Ref, Rules
from sglc.codegen.automata.rules import left_recursion
from sglc.codegen.automata.source import ConstraintError, NotSupported

_TOKEN = re.compile(
    r"""
      (?P<space>(?:\s|\#[^\n]*)+)
    | (?P<literal>"(?:\\.|[^"\\\n])*")
    | (?P<class>\[(?:\\.|[^\]\\\n])*\])
    | (?P<macro>(?:TagDispatch|TokenTagDispatch|Token|ExcludeToken)\()
    | (?P<name>[A-Za-z_][A-Za-z0-9_.-]*)
    | (?P<count>\{[ \t]*(?P<low>\d+)[ \t]*(?P<comma>,[ \t]*(?P<high>\d*)[ \t]*)?\})
    | (?P<look>\(=)
    | (?P<mark>::=|[()|*+?])
    """,
    re.VERBOSE,
)
_CHAR = re.compile(r"\\x[0-9A-Fa-f]+|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\.|.", re.DOTALL)
_ESCAPES = {
    "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0",
    "e": "\x1b", "\\": "\\", '"': '"', "'": "'", "/": "/", "?": "?",
}  # fmt: skip
_CLASS_ESCAPES = {**_ESCAPES, "-": "-", "]": "]", "[": "[", "^": "^"}
_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_REFUSED = {"look": "looking ahead is not supported", "macro": "macros are not supported"}
_MAX_COUNT = 100_000


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int
    low: int = 0
    high: int | None = None


def parse_ebnf(text: str) -> Rules:
    """Raises ConstraintError with an offset. The root rule is `root`."""
    parser = _Parser(list(_tokens(text)))
    rules = parser.rules()
    for name, offset in parser.called:
        if name not in rules:
            raise ConstraintError(f"there is no rule `{name}`", offset=offset)
    if "root" not in rules:
        raise ConstraintError("a grammar starts from the rule `root`, which this one lacks")
    if found := left_recursion(rules):
        message = f"the text of the rule `{found}` may begin with the rule itself"
        raise NotSupported(message, offset=parser.defined[found])
    return Rules(Ref("root"), tuple(rules.items()))


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConstraintError(_complaint(text, at), offset=at)
        kind = str(found.lastgroup)
        if kind == "count":
            low = int(found["low"])
            high = low if found["comma"] is None else int(found["high"]) if found["high"] else None
            if high is not None and high < low:
                raise ConstraintError("a count whose end is below its start", offset=at)
            if max(low, high or 0) > _MAX_COUNT:
                raise NotSupported(f"a count over {_MAX_COUNT:,}", offset=at)
            yield _Token(kind, found[0], at, low, high)
        elif kind in _REFUSED:
            raise NotSupported(_REFUSED[kind], offset=at)
        elif kind != "space":
            yield _Token(kind, found[0], at)
        at = found.end()
    yield _Token("end", "", at)


def _complaint(text: str, at: int) -> str:
    match text[at]:
        case '"':
            return "this string is not closed on its line"
        case "[":
            return "this class of characters is not closed on its line"
        case "{":
            return "a count is `{n}`, `{n,}` or `{n,m}`"
        case "'":
            return "a string stands in double quotes"
        case char:
            return f"`{char}` means nothing here"


class _Parser:
    """`called` are the rules that are referred to, `defined` those there are, with offsets."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.called: list[tuple[str, int]] = []
        self.defined: dict[str, int] = {}

    def rules(self) -> dict[str, Expr]:
        rules: dict[str, Expr] = {}
        while self._next.kind != "end":
            name = self._next
            if name.kind != "name":
                raise ConstraintError("a rule `name ::= ...` is missing", offset=name.offset)
            self._at += 1
            if self._next.text != "::=":
                raise ConstraintError("`::=` is missing", offset=self._next.offset)
            self._at += 1
            if name.text in rules:
                message = f"the rule `{name.text}` is there twice"
                raise ConstraintError(message, offset=name.offset)
            self.defined[name.text] = name.offset
            rules[name.text] = self._choice()
            if self._next.text == ")":
                raise ConstraintError("this `)` closes nothing", offset=self._next.offset)
        return rules

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _choice(self) -> Expr:
        options = [self._sequence()]
        while self._next.text == "|" and self._next.kind == "mark":
            self._at += 1
            options.append(self._sequence())
        return alt(*options)

    def _sequence(self) -> Expr:
        parts: list[Expr] = []
        while (item := self._item()) is not None:
            parts.append(self._counted(item))
        if not parts:
            message = 'something is missing here; `""` is the empty text'
            raise ConstraintError(message, offset=self._next.offset)
        return seq(*parts)

    def _counted(self, item: Expr) -> Expr:
        token = self._next
        if token.kind == "count":
            low, high = token.low, token.high
        elif token.kind == "mark" and token.text in _COUNTS:
            low, high = _COUNTS[token.text]
        else:
            return item
        self._at += 1
        return repeat(item, low, high)

    def _item(self) -> Expr | None:
        """The next item of a sequence, or None at its end."""
        token = self._next
        match token.kind:
            case "literal":
                self._at += 1
                return seq("".join(char for char, _ in _characters(token, _ESCAPES)))
            case "class":
                self._at += 1
                return _class(token)
            case "name":
                return self._reference(token)
        if token.text != "(":
            return None
        self._at += 1
        if self._next.text == ")":
            self._at += 1
            return seq("")
        inner = self._choice()
        if self._next.text != ")":
            raise ConstraintError("this `(` is not closed", offset=token.offset)
        self._at += 1
        return inner

    def _reference(self, token: _Token) -> Expr | None:
        after = self._tokens[self._at + 1]
        if after.text == "::=":
            return None  # the next rule
        self._at += 1
        self.called.append((token.text, token.offset))
        return Ref(token.text)


def _class(token: _Token) -> Expr:
    is_negated = token.text.startswith("[^")
    found = list(_characters(token, _CLASS_ESCAPES, skip=is_negated))
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(found):
        low, offset = found[at]
        # an escaped "-" is no range
        if at + 2 < len(found) and token.text[found[at + 1][1] - token.offset] == "-":
            high = found[at + 2][0]
            if high < low:
                raise ConstraintError("a range whose end is below its start", offset=offset)
            at += 3
        else:
            high = low
            at += 1
        ranges.append((ord(low), ord(high)))
    merged = char_sets.union(tuple(ranges))
    return chars(char_sets.negate(merged) if is_negated else merged)


def _characters(
    token: _Token, escapes: dict[str, str], skip: bool = False
) -> Iterator[tuple[str, int]]:
    """The characters between the first and last one of a token, with the offset of each."""
    for found in _CHAR.finditer(token.text, 1 + skip, len(token.text) - 1):
        written, offset = found[0], token.offset + found.start()
        if len(written) == 1:
            char = written
        elif len(written) > 2:
            point = int(written[2:], 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise ConstraintError("this is no character", offset=offset)
            char = chr(point)
        elif written[1] in escapes:
            char = escapes[written[1]]
        else:
            raise ConstraintError(f"there is no escape `{written}`", offset=offset)
        yield char, offset
