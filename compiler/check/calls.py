"""Calls: of fragments and externs by their parameters, of built-ins by their rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.check.attributes import report_missing_import
from sglc.compiler.check.builtins import FUNCTION_NAMES, RULES, accepts, groups_type
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.fitting import require_fit
from sglc.compiler.check.modules import Declared
from sglc.compiler.check.patterns import check_regex
from sglc.compiler.checked import Builtin
from sglc.compiler.diagnostics import nearest
from sglc.ir.host.functions import SIGNATURES, Signature
from sglc.ir.types import JSON, NULL, STR, UNKNOWN, Type

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions


def call_type(expressions: Expressions, call: syntax.Call) -> Type:
    """The type of a call's value; null for what returns none."""
    found = _callee(expressions, call)
    if isinstance(found, str):
        return _builtin_call(expressions, call, found)
    if found is None:
        _infer_all(expressions, call)
        return UNKNOWN
    match found.decl:
        case syntax.Fragment() as fragment:
            if expressions.appending is not call:
                _report_misplaced(expressions, call, fragment)
            return _declared_call(expressions, call, fragment)
        case syntax.Extern() as extern:
            return _declared_call(expressions, call, extern)
    what = kind_of(found.decl)
    message = f"`{_name(call)}` is {what} and cannot be called"
    help = "only fragments (`def`), externs and built-ins are called"
    expressions.report.error("E0307", message, call.function, what, help=help)
    _infer_all(expressions, call)
    return UNKNOWN


def run_type(expressions: Expressions, node: syntax.Run) -> Type:
    """`run f(...)`: a fragment in a context of its own."""
    call = node.call
    found = _callee(expressions, call)
    if isinstance(found, Declared) and isinstance(found.decl, syntax.Fragment):
        result = _declared_call(expressions, call, found.decl)
        expressions.tables.types[call] = result
        return result
    if found is not None:
        what = "a built-in" if isinstance(found, str) else kind_of(found.decl)
        message = f"`run` takes a fragment; `{_name(call)}` is {what}"
        help = f"write `{_name(call)}(...)` without `run`"
        expressions.report.error("E0307", message, call.function, what, help=help)
    _infer_all(expressions, call)
    expressions.tables.types[call] = UNKNOWN
    return UNKNOWN


# ---------------------------------------------------------------- who is called


def _callee(expressions: Expressions, call: syntax.Call) -> Declared | str | None:
    """The declaration called, or the name of a built-in, or None with the error reported."""
    function, module = call.function, expressions.scope.module
    if not isinstance(function, syntax.Name | syntax.Attribute):
        message = "this value cannot be called"
        expressions.report.error("E0307", message, function, "not a function")
        return None
    name = _name(call)
    if isinstance(function, syntax.Attribute):
        owner = function.value
        if not isinstance(owner, syntax.Name) or owner.text not in module.aliases:
            _report_method(expressions, call, function)
            return None
    found = module.find(name)
    if found is not None:
        expressions.tables.used.update(n for n in (found.decl, found.via) if n is not None)
        return found
    if name in FUNCTION_NAMES:
        return name
    if isinstance(function, syntax.Attribute):
        alias = module.aliases[name.partition(".")[0]]
        expressions.tables.used.add(alias)
        if alias in module.imports:
            report_missing_import(expressions, function, module.imports[alias].exported())
    elif not module.is_partial:
        callables = [n for n, d in module.names.items() if kind_of(d.decl) != "a const"]
        near = nearest(name, [*callables, *FUNCTION_NAMES])
        is_value = name in expressions.scope.variables
        message = (
            f"`{name}` is a value, not a function" if is_value else f"there is no function `{name}`"
        )
        expressions.report.error(
            "E0203",
            message,
            function,
            "cannot be called" if is_value else "not found",
            help=f"did you mean `{near}`?" if near else None,
        )
    return None


def _report_method(expressions: Expressions, call: syntax.Call, function: syntax.Attribute) -> None:
    """`x.strip()`: values have no methods, but most of Python's are built-ins."""
    name = function.name.text
    expressions.infer(function.value)
    help = None
    if name in SIGNATURES:
        help = f"it is a built-in function: `{name}(x{', ...' if call.args else ''})`"
    elif name == "append":
        help = "lists are values: `xs = xs + [x]`"
    elif name == "format":
        help = 'every string is a template: `"{x:.2f}"`'
    expressions.report.error(
        "E0307", "values have no methods", function.name, "a method", help=help
    )


def _name(call: syntax.Call) -> str:
    """`f`, or `m.f` of an imported file."""
    match call.function:
        case syntax.Name(text=text):
            return text
        case syntax.Attribute(value=syntax.Name(text=owner), name=name):
            return f"{owner}.{name.text}"
    return ""


def _infer_all(expressions: Expressions, call: syntax.Call) -> None:
    for arg in call.args:
        expressions.infer(arg)
    for keyword in call.keywords:
        expressions.infer(keyword.value)


def _report_misplaced(
    expressions: Expressions, call: syntax.Call, fragment: syntax.Fragment
) -> None:
    name = fragment.name.text
    expressions.report.error(
        "E0405",
        f"the fragment `{name}` appends to the context, so its call is a statement",
        call,
        "called inside an expression",
        help=f"call it before: `let v = {name}(...)`, or in its own context: `run {name}(...)`",
    )


# ---------------------------------------------------------------- arguments


def _declared_call(
    expressions: Expressions, call: syntax.Call, callee: syntax.Fragment | syntax.Extern
) -> Type:
    expressions.tables.callees[call] = callee
    if expressions.scope.is_const:
        what = f"{kind_of(callee)} runs only with a row, so a constant cannot call it"
        help = "use literals, consts and built-in functions"
        expressions.report.error("E0505", what, call, "not constant", help=help)
        return UNKNOWN
    result = expressions.functions.result(callee, call)
    _infer_all(expressions, call)
    wanted = expressions.functions.parameters(callee)
    params = {param.name.text: param for param in callee.params}
    required = [name for name, param in params.items() if param.default is None]
    for name, arg in _bound(expressions, call, list(params), required, callee.name):
        what = f"the parameter `{name}`"
        require_fit(expressions, arg, wanted[name], what, ((params[name], "declared here"),))
    return NULL if result is None else result


def _bound(
    expressions: Expressions,
    call: syntax.Call,
    names: list[str],
    required: list[str],
    declared: syntax.Identifier | None,
) -> Iterator[tuple[str, syntax.Expr]]:
    """Parameter names with their arguments; what does not fit the parameters is reported."""
    report, name = expressions.report, _name(call)
    secondary = () if declared is None else ((declared, "declared here"),)
    takes = f"`{name}` takes {_count(len(names), 'argument')}"
    given: set[str] = set()
    is_good = True
    for i, arg in enumerate(call.args):
        if i < len(names):
            given.add(names[i])
            yield names[i], arg
        elif i == len(names):
            message = f"{takes}, {len(call.args)} are given"
            report.error("E0306", message, arg, "one too many", secondary=secondary)
            is_good = False
    for keyword in call.keywords:
        key = keyword.name.text
        if key not in names:
            near = nearest(key, names)
            listed = ", ".join(f"`{n}`" for n in names) or "none"
            help = f"did you mean `{near}`?" if near else f"its parameters are {listed}"
            message = f"`{name}` has no parameter `{key}`"
            report.error("E0306", message, keyword.name, "unknown", secondary=secondary, help=help)
            is_good = False
        elif key in given:
            message = f"the parameter `{key}` of `{name}` is given twice"
            report.error("E0306", message, keyword, "again", secondary=secondary)
        else:
            given.add(key)
            yield key, keyword.value
    missing = [n for n in required if n not in given]
    if missing and is_good:
        listed = ", ".join(f"`{n}`" for n in missing)
        report.error(
            "E0306",
            f"this call of `{name}` lacks {listed}",
            call,
            "incomplete",
            secondary=secondary,
        )


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- built-ins


def _builtin_call(expressions: Expressions, call: syntax.Call, name: str) -> Type:
    expressions.tables.callees[call] = Builtin(name)
    match name:
        case "try":
            return _try(expressions, call)
        case "special":
            return _special(expressions, call)
        case "read" | "read_json":
            return _read(expressions, call, name)
    _infer_all(expressions, call)
    signature, rule = SIGNATURES[name], RULES[name]
    if signature.is_variadic:
        return _variadic(expressions, call, name, signature)
    names = [p.name for p in signature.params]
    required = [p.name for p in signature.params if not p.is_optional]
    found: list[Type] = [UNKNOWN] * len(names)
    args = dict(_bound(expressions, call, names, required, None))
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
    _infer_all(expressions, call)
    if len(call.args) != 2 or call.keywords:
        message = "`try` takes an expression and a default"
        help = "write `try(parse_json(x), null)`"
        expressions.report.error("E0306", message, call, f"{len(call.args)} given", help=help)
        return UNKNOWN
    return relations.join(*(expressions.tables.type_of(arg) for arg in call.args))


def _special(expressions: Expressions, call: syntax.Call) -> Type:
    _infer_all(expressions, call)
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
    _infer_all(expressions, call)
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
