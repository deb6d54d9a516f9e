"""Calls of built-ins: by their rules, and the forms `try`, `special`, `read` by their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.check.arguments import bound_arguments
from sglc.compiler.check.builtins import RULES, accepts, groups_type
from sglc.compiler.check.fitting import require_fit
from sglc.compiler.check.patterns import check_regex
from sglc.compiler.checked import Builtin
from sglc.ir.host.functions import SIGNATURES, Signature
from sglc.ir.types import JSON, STR, UNKNOWN, Type

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions


def builtin_call(expressions: Expressions, call: syntax.Call, name: str) -> Type:
    """The type of what the built-in `name` yields for these arguments."""
    expressions.tables.callees[call] = Builtin(name)
    match name:
        case "try":
            return _try(expressions, call)
        case "special":
            return _special(expressions, call)
        case "read" | "read_json":
            return _read(expressions, call, name)
    expressions.infer_arguments(call)
    signature, rule = SIGNATURES[name], RULES[name]
    if signature.is_variadic:
        return _variadic(expressions, call, name, signature)
    names = [p.name for p in signature.params]
    required = [p.name for p in signature.params if not p.is_optional]
    found: list[Type] = [UNKNOWN] * len(names)
    args = dict(bound_arguments(expressions.report, call, names, required, None))
    for parameter, arg in args.items():
        place = names.index(parameter)
        found[place] = expressions.tables.type_of(arg)
        want = rule.wants[place]
        if not accepts(want, found[place]):
            message = f"`{parameter}` of `{name}` takes {want.text}"
            help = expressions.null_help(arg)
            expressions.report.error("E0301", message, arg, f"found `{found[place]}`", help=help)
    if name in ("find", "match") and "pattern" in args:
        return _regex_result(expressions, name, args["pattern"], rule.result(found))
    return rule.result(found)


def _variadic(expressions: Expressions, call: syntax.Call, name: str, signature: Signature) -> Type:
    report, want = expressions.report, RULES[name].wants[0]
    for keyword in call.keywords:
        report.error("E0306", f"`{name}` takes no argument by name", keyword, "by name")
    if len(call.args) < signature.least:
        report.error("E0306", f"`{name}` needs an argument", call, "none is given")
        return UNKNOWN
    found = [expressions.tables.type_of(arg) for arg in call.args]
    for arg, type in zip(call.args, found, strict=True):
        if not accepts(want, type):
            report.error("E0301", f"`{name}` takes {want.text} each", arg, f"found `{type}`")
    if name in ("min", "max"):
        _check_extreme(expressions, call, name, found)
    return RULES[name].result(found)


def _check_extreme(
    expressions: Expressions, call: syntax.Call, name: str, found: list[Type]
) -> None:
    """`min` and `max` take one list, or several values that can be compared."""
    if len(found) == 1:
        item = relations.item_of(found[0])
        is_good = item is not None and relations.ordered(item, item)
    else:
        is_good = all(relations.ordered(found[0], other) for other in found)
    if not is_good:
        shown = " and ".join(f"`{type}`" for type in found)
        message = f"`{name}` takes a list, or several values, of numbers or of str"
        help = expressions.null_help(call.args[0])
        expressions.report.error("E0301", message, call, f"found {shown}", help=help)


def _regex_result(
    expressions: Expressions, name: str, pattern: syntax.Expr, otherwise: Type
) -> Type:
    """A constant pattern is checked, and says how many groups `match` yields."""
    known = expressions.consts.known(pattern)
    if known is None or not isinstance(known.value, str):
        return otherwise
    sources = expressions.types.sources
    if not check_regex(known.value, pattern, expressions.report, sources):
        return UNKNOWN
    return groups_type(known.value) if name == "match" else otherwise


def _try(expressions: Expressions, call: syntax.Call) -> Type:
    expressions.infer_arguments(call)
    if len(call.args) != 2 or call.keywords:
        message = "`try` takes an expression and a default"
        help = "write `try(parse_json(x), null)`"
        expressions.report.error("E0306", message, call, f"{len(call.args)} given", help=help)
        return UNKNOWN
    return relations.join(*(expressions.tables.type_of(arg) for arg in call.args))


def _special(expressions: Expressions, call: syntax.Call) -> Type:
    expressions.infer_arguments(call)
    report, spec = expressions.report, expressions.tables.spec
    if call not in expressions.specials:
        report.error(
            "E0407",
            "`special` stands only in text that is appended",
            call,
            "a control token is no value",
            help='write it directly in the text: `"{special("<|name|>")}"`',
        )
        return UNKNOWN
    known = expressions.consts.known(call.args[0]) if len(call.args) == 1 else None
    if known is None or not isinstance(known.value, str) or call.keywords:
        message = "`special` takes the constant name of one control token"
        report.error("E0407", message, call, "not one constant str")
        return UNKNOWN
    expressions.tables.consts[call.args[0]] = known.value
    if spec is not None and spec.tokenizer.control_id(known.value) is None:
        message = f"the model `{spec.identity.reference}` has no control token `{known.value}`"
        report.error("E0701", message, call.args[0], "not in its vocabulary")
    return STR


def _read(expressions: Expressions, call: syntax.Call, name: str) -> Type:
    expressions.infer_arguments(call)
    if not expressions.consts.is_open:
        expressions.report.error(
            "E0507",
            f"`{name}` reads while compiling, so it stands only in a `const`",
            call,
            "not in a const",
            help=f"declare `const DATA = {name}(...)` at the top of the file",
        )
    elif len(call.args) != 1 or call.keywords:
        message = f"`{name}` takes the path of a file"
        expressions.report.error("E0306", message, call, f"{len(call.args)} given")
    else:
        require_fit(expressions, call.args[0], STR, f"the path of `{name}`")
    return STR if name == "read" else JSON
