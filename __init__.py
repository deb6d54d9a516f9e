"""sglc: a compiler for LLM programs.

    import sglc
    program = sglc.compile("judge.sgl")
    for result in program.run([{"essay": "..."}]):
        print(result.output)

Importing this package loads neither torch nor lark; each name loads what it needs at first use.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sglc import testing as testing
    from sglc.api import CompileError as CompileError
    from sglc.api import Program as Program
    from sglc.api import Result as Result
    from sglc.api import RowError as RowError
    from sglc.api import compile as compile
    from sglc.api import compile_and_run as compile_and_run

__version__ = "0.1.0"
__all__ = ["CompileError", "Program", "Result", "RowError", "compile", "compile_and_run"]


def __getattr__(name: str) -> object:
    if name == "testing":
        return importlib.import_module("sglc.testing")
    if name in __all__:
        return getattr(importlib.import_module("sglc.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
