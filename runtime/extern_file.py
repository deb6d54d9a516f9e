"""Extern functions from a Python file, as `--extern tools.py` gives them.

Law: what a program needs and nobody gives is said before anything runs.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sglc.codegen.plan import ExternDecl
from sglc.runtime.rows.bind import did_you_mean


class ExternError(Exception):
    """The extern functions that a program needs are not there; the text is a sentence for the
    user."""


def load_externs(paths: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """The public callables of these files, by name; a later file wins."""
    functions: dict[str, Callable[..., Any]] = {}
    for path in paths:
        functions |= {
            name: value
            for name, value in _run_file(Path(path)).items()
            if callable(value) and not name.startswith("_")
        }
    return functions


def check_externs(
    decls: Sequence[ExternDecl], functions: Mapping[str, Callable[..., Any]], how: str
) -> None:
    """Raise ExternError unless each declared function is given. `how` says how to give one."""
    for decl in decls:
        if decl.name not in functions:
            near = did_you_mean(decl.name, list(functions))
            raise ExternError(f"the program needs the extern function `{decl.name}`{near} ({how})")


def _run_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ExternError(f"--extern {path}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"sglc_extern_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ExternError(f"--extern {path}: expected a Python file, with a name in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look modules up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = _line_of(error, path)
        raise ExternError(f"--extern {path}{line}: {type(error).__name__}: {error}") from error
    return vars(module)


def _line_of(error: BaseException, path: Path) -> str:
    """`:7` when the error passed through line 7 of the file."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    numbers = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path.absolute():
            numbers.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{numbers[-1]}" if numbers else ""
