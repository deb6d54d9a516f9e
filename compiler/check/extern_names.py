"""Externs of several files: the user gives one function a name, so one name has one signature."""

from __future__ import annotations

from collections.abc import Iterable

from sglc.compiler import declaration
from sglc.compiler.check.consts import Consts
from sglc.compiler.check.tables import Tables


def check_extern_names(
    externs: Iterable[declaration.Extern], tables: Tables, consts: Consts
) -> None:
    """Report a second extern of a name that says something else than the first."""
    first: dict[str, declaration.Extern] = {}
    for extern in externs:
        known = first.setdefault(extern.name.text, extern)
        if _signature(extern, tables, consts) != _signature(known, tables, consts):
            tables.report.error(
                "E0201",
                f"two files declare the extern `{extern.name.text}`, and not alike",
                extern.name,
                "declared otherwise here",
                secondary=((known.name, "first here"),),
                help="one function is given for both: declare them alike, or rename one",
            )


def _signature(extern: declaration.Extern, tables: Tables, consts: Consts) -> object:
    params = [(param.name.text, tables.types.get(param.type)) for param in extern.params]
    options = {option.name.text: consts.known(option.value) for option in extern.options}
    return params, tables.results.get(extern), extern.is_pure, options
