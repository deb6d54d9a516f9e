"""Arguments of a call matched with parameters, by place and by name."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.compiler import syntax
from sglc.compiler.check.report import Report
from sglc.compiler.diagnostics import nearest


def bound_arguments(
    report: Report,
    call: syntax.Call,
    names: list[str],
    required: list[str],
    declared: syntax.Identifier | None,
) -> Iterator[tuple[str, syntax.Expr]]:
    """Parameter names with their arguments; what does not fit the parameters is reported."""
    name = called_name(call)
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


def called_name(call: syntax.Call) -> str:
    """`f`, or `m.f` of an imported file."""
    match call.function:
        case syntax.Name(text=text):
            return text
        case syntax.Attribute(value=syntax.Name(text=owner), name=name):
            return f"{owner}.{name.text}"
    return ""
