"""Why a text did not parse, as a diagnostic: the slip it looks like, or what was expected.

Knows nothing about recovery: one failure of the grammar in, one diagnostic out.
"""

from __future__ import annotations

import re
import unicodedata

from lark import Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from sglc.compiler.diagnostics import Diagnostic, nearest
from sglc.compiler.slips import slip
from sglc.compiler.source import SourceText

NO_BLOCK = "E0105"
MISPLACED = "E0115"

DECLARATIONS = ("import", "const", "type", "pure", "extern", "def", "program")
STATEMENTS = (
    *("gen", "select", "system", "user", "assistant", "tool", "fork", "join", "capture"),
    *("reasoning", "any_order", "let", "if", "elif", "else", "for", "while", "break"),
    *("continue", "pass", "return", "require", "defaults"),
)
# words of other languages at the start of a line
ELSEWHERE = {
    "elsif": "write `elif`",
    "elseif": "write `elif`",
    "from": 'write `import "file.sgl" as name`',
    "function": "write `def`",
    "fn": "write `def`",
    "func": "write `def`",
    "var": "write `let`",
    "class": "write `type Name:`",
    "struct": "write `type Name:`",
    "record": "write `type Name:`",
    "assert": 'write `require condition, "message"`',
    "raise": 'write `require false, "message"`',
    "print": "a string that stands alone is appended to the context",
    "try": "`try(expr, default)` is an expression",
    "switch": "write `if` and `elif`",
    "match": "write `if` and `elif`",
    "until": "write `while not condition max N:`",
    "human": "write `user`",
    "ai": "write `assistant`",
}
# words of other languages between two operands
BETWEEN = {
    "is": "write `==`",
    "then": "write `:` after the condition",
    "of": "write `in`",
    "mod": "write `%`",
    "lambda": "there are no lambdas: write a comprehension or a `def`",
}
CHARACTERS = {
    ";": "one statement a line, without `;`",
    "&": "write `and`",
    "!": "write `not`",
    "`": "strings stand in \"...\" or '...'",
    "$": "interpolate with `{name}` inside a string",
    "@": "there are no decorators",
    "\\": "put brackets around what goes on over several lines",
    "~": "there are no operators on bits",
    "^": "write `**` for a power",
}
QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"


def explain(source: SourceText, failure: UnexpectedInput) -> Diagnostic:
    """`source` did not parse: what to tell its author."""
    if isinstance(failure, UnexpectedCharacters):
        return _character(source, failure.pos_in_stream or 0)
    assert isinstance(failure, UnexpectedToken)
    if failure.token.type == "_INDENT":
        return unexpected_indent(source, failure.token.start_pos or 0)
    if failure.accepts == {"_INDENT"}:
        return _missing_block(source, failure)
    return _first_word(source, failure) or _slip(source, failure) or _unexpected(source, failure)


def unexpected_indent(source: SourceText, start: int) -> Diagnostic:
    """The line whose code begins at `start` is deeper than what stands above it."""
    line = source.line_start(source.line_of(start))
    message = "unexpected indentation"
    help = "only a line that ends in `:` begins a block"
    return source.error("E0103", message, line, start, help=help)


def _missing_block(source: SourceText, failure: UnexpectedToken) -> Diagnostic:
    end = _end_before(failure)  # behind the colon
    message = "no block after `:`"
    help = "indent the statements below; `pass` does nothing"
    return source.error(NO_BLOCK, message, end - 1, end, "expected an indented line", help=help)


# ---------------------------------------------------------------- by the words of the line


def _first_word(source: SourceText, failure: UnexpectedToken) -> Diagnostic | None:
    """A line whose first word begins no statement, or not one that may stand there."""
    at = failure.token.start_pos or 0
    start = source.line_start(source.line_of(at))
    is_outside = failure.accepts & {"_DEF", "BROKEN"} == {"_DEF", "BROKEN"}
    if is_outside and at == start and not _FIRST_WORD.match(source.text, at):
        return _statement_outside(source, *_place(source, failure))
    line = _FIRST_WORD.match(source.text, start)
    if line is None or at < line.start(1) or _end_before(failure) > line.end(1):
        return None
    word, first, last = line[1], line.start(1), line.end(1)
    if is_outside and at == first and word not in DECLARATIONS:
        return _outside(source, word, first, last)
    if at == first and word in ("elif", "else"):
        message = f"`{word}` without an `if`"
        help = "it stands directly below the block of an `if`, at the same indentation"
        return source.error("E0101", message, first, last, help=help)
    is_word = _last_kind(failure) in ("NAME", "name") and _AFTER_A_WORD.match(source.text, at)
    if at <= first or word in STATEMENTS or not is_word:
        return None
    if word in DECLARATIONS:
        message = f"`{word}` cannot stand inside a block"
        return source.error(MISPLACED, message, first, last, help="move it to the left margin")
    return _unknown_word(source, word, first, last, STATEMENTS)


def _outside(source: SourceText, word: str, first: int, last: int) -> Diagnostic:
    """A line at the left margin that begins no declaration."""
    if word in STATEMENTS or _is_expression(source, last):
        return _statement_outside(source, first, last)
    return _unknown_word(source, word, first, last, DECLARATIONS)


def _statement_outside(source: SourceText, start: int, end: int) -> Diagnostic:
    help = "put it below `program name():` or `def name():`"
    if source.text[start:end] == "let":
        help = "write `const`, or put it below `program name():`"
    return source.error(MISPLACED, "a statement outside a program", start, end, help=help)


def _is_expression(source: SourceText, after_word: int) -> bool:
    return re.compile(r"[ \t]*[=(.\[+]").match(source.text, after_word) is not None


def _unknown_word(
    source: SourceText, word: str, first: int, last: int, known: tuple[str, ...]
) -> Diagnostic:
    near = nearest(word, known)
    help = ELSEWHERE.get(word) or (f"did you mean `{near}`?" if near else None)
    kind = "declaration" if known is DECLARATIONS else "statement"
    if kind == "declaration" and help is None:
        help = f"declarations begin with {', '.join(DECLARATIONS[:-1])} or {DECLARATIONS[-1]}"
    return source.error("E0121", f"`{word}` begins no {kind}", first, last, help=help)


_FIRST_WORD = re.compile(r"[ \t]*([^\W\d]\w*)")
_AFTER_A_WORD = re.compile(r"""[\w"':{]""")


# ---------------------------------------------------------------- by the state of the parser


def _slip(source: SourceText, failure: UnexpectedToken) -> Diagnostic | None:
    known = slip(failure)
    if known is None:
        return None
    start, end = _place(source, failure)
    if known.is_gap:
        start = end = _end_before(failure)
    before = _word_before(source, _end_before(failure))
    words = {"found": source.text[start:end], "before": before}
    message, help = known.message.format(**words), known.help
    help = help and help.format(**words)
    return source.error(known.code, message, start, end, known.label, help=help)


def _unexpected(source: SourceText, failure: UnexpectedToken) -> Diagnostic:
    """No known slip: what was found, and what could have stood there."""
    start, end = _place(source, failure)
    found = source.text[start:end]
    if not found:
        message = "the line ends too early"
    elif found in RESERVED and "NAME" in failure.accepts:
        message = f"`{found}` is a reserved word and cannot be a name"
        return source.error("E0122", message, start, end, help=f"write `{found}_`")
    else:
        message = f"unexpected `{_short(found)}`"
    help = BETWEEN.get(found) or BETWEEN.get(_word_before(source, start))
    if help:
        return source.error("E0112", message, start, end, help=help)
    return source.error("E0101", message, start, end, _expected(failure))


def _expected(failure: UnexpectedToken) -> str:
    """The label: what may follow, operators aside; empty where that is too much to say."""
    accepts = failure.accepts
    words = [word for token, word in EXPECTED.items() if token in accepts]
    if "NUMBER" in accepts:
        words.insert(0, "an expression" if "LSQB" in accepts else "a type")
    elif accepts & {"NAME", "FIELD"}:
        words.insert(0, "a name")
    if not words or len(words) > 3:
        return ""
    *most, last = words
    return f"expected {', '.join(most)} or {last}" if most else f"expected {last}"


# tokens that say what is missing; operators and the starts of expressions would only be noise
EXPECTED = {
    "COMMA": "`,`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RBRACE": "`}`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "_AS": "`as`",
    "_IN": "`in`",
    "_FROM": "`from`",
    "__ANON_1": "`..`",
    "_NEWLINE": "the end of the line",
}
RESERVED = frozenset(
    [
        "if",
        "else",
        "for",
        "in",
        "and",
        "or",
        "not",
        "run",
        "true",
        "True",
        "false",
        "False",
        "null",
        "None",
    ]
)


# ---------------------------------------------------------------- by the character


def _character(source: SourceText, at: int) -> Diagnostic:
    """A character that no token begins with."""
    char = source.text[at]
    name = unicodedata.name(char, f"U+{ord(char):04X}").lower()
    shown = f"`{char}`" if char.isprintable() and not char.isspace() else name
    code, message, help = "E0120", f"unexpected character {shown}", None
    plain = unicodedata.normalize("NFKC", char)
    if char in "\"'":
        code, message = "E0107", f"the string that begins with {shown} is never closed"
    elif char in CHARACTERS:
        code, help = "E0112", CHARACTERS[char]
        if source.text.startswith("&&", at):
            message = "`&&` is written `and`"
        elif char == "!":
            message = "`!` is written `not`"
        elif source.text[at + 1 : at + 2] in ("'", '"'):  # as in "{\\"a\\": 1}"
            help = "in `{...}` quotes need no backslash; a brace that is text is written `{{`"
    elif char in QUOTES:
        help = 'strings stand in straight quotes: "..."'
    elif char.isspace():
        help = "write a plain space"
    elif plain != char and plain.isascii() and plain.isprintable():
        help = CHARACTERS.get(plain, f"write `{plain}`")
    end = at + 2 if message.startswith("`&&`") else at + 1
    return source.error(code, message, at, end, help=help)


# ---------------------------------------------------------------- places


def _place(source: SourceText, failure: UnexpectedToken) -> tuple[int, int]:
    """The range of the token; where the line ends, the point behind what stands before it."""
    token = failure.token
    if token.type in ("_NEWLINE", "_DEDENT", "$END"):
        return (_end_before(failure),) * 2
    start, end = token.start_pos or 0, token.end_pos or 0
    return start, min(end, source.line_end(start))


def _end_before(failure: UnexpectedToken) -> int:
    """Where the last thing ends that the parser has read, newlines and empty things aside."""
    for value in reversed(failure.state.value_stack):
        if isinstance(value, Tree) and not value.meta.empty:
            return int(value.meta.end_pos)
        if isinstance(value, Token) and value.type != "_NEWLINE" and value:
            return value.end_pos or 0
    return failure.token.start_pos or 0


def _last_kind(failure: UnexpectedToken) -> str:
    """The kind of token or tree that the parser has read last."""
    value = failure.state.value_stack[-1]
    return str(value.data if isinstance(value, Tree) else value.type)


def _word_before(source: SourceText, end: int) -> str:
    """The word or operator that ends at or before `end`."""
    match = re.search(r"(\w+|[^\w\s]+)\s*$", source.text[max(0, end - 200) : end])
    return match[1] if match else ""


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
