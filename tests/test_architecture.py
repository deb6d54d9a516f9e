"""Which folder may import which: the layers, checked import by import, and the offending line
named."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A folder may import itself and these parts of the package.
MAY_IMPORT = {
    "ir": (),
    "passes": ("ir",),
    "codegen": ("ir",),
    "kernels": (),
    # both sides, and nobody but the commands imports it
    "bench": ("codegen", "compiler", "ir", "runtime"),
    # the same
    "explain": ("codegen", "compiler", "ir", "passes", "runtime"),
    "compiler": ("ir", "passes", "codegen", "runtime.model"),
    "runtime": (
        "codegen.instruction",
        "codegen.plan",
        "codegen.plan_file",
        "codegen.automata",
        "kernels",
        # the value language, which rows and host expressions are written in
        "ir.span",
        "ir.types",
        "ir.values",
        "ir.host",
    ),
}
# Narrower rules for single files and folders.
ONLY = {
    "codegen/instruction.py": ("ir.span", "ir.types", "ir.host"),
    "codegen/plan.py": (
        "codegen.instruction",
        "ir.span",
        "ir.types",
        "ir.host",
        "ir.note",
        "codegen.automata.constraint",
        "codegen.automata.source",
    ),
    "codegen/automata/": ("ir.span", "ir.types", "ir.host", "codegen.automata"),
}
# What a folder may import from outside; None is anything.
OUTSIDE = {
    "ir": (),
    "passes": ("networkx",),
    "codegen": ("networkx", "numpy", "xgrammar"),
    "kernels": ("torch", "triton", "numpy", "platformdirs"),
    "bench": None,
    "explain": ("rich",),
    "compiler": ("lark", "platformdirs"),
    "runtime": None,
}
NEVER = {"runtime": ("lark", "networkx")}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of each import; `from sglc.ir import types` is an import of sglc.ir.types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if is_module(inner) else module


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return name.startswith("sglc.") and (path.is_dir() or path.with_suffix(".py").is_file())


def is_within(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(part + ".") for part in parts)


def faults(path: Path, root: Path = ROOT) -> Iterator[str]:
    """What is wrong with the imports of one file of a folder of the package."""
    name = path.relative_to(root).as_posix()
    folder = name.split("/")[0]
    narrower = [parts for place, parts in ONLY.items() if name.startswith(place)]
    allowed = narrower[0] if narrower else (folder, *MAY_IMPORT[folder])
    for line, module in imports(path):
        first = module.split(".")[0]
        if module.startswith("."):
            yield f"{name}:{line}: relative import, write `sglc.{folder}...`"
        elif first in MAY_IMPORT:
            yield f"{name}:{line}: top-level `{first}`, write `sglc.{first}`"
        elif first == "sglc":
            inside = module.removeprefix("sglc").removeprefix(".")
            if inside and not is_within(inside, allowed):
                yield f"{name}:{line}: `{folder}` may not import `{module}`"
        elif first not in sys.stdlib_module_names:
            outside = OUTSIDE[folder]
            if (outside is not None and first not in outside) or first in NEVER.get(folder, ()):
                yield f"{name}:{line}: `{folder}` may not import `{first}`"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_down(folder: str) -> None:
    found = [fault for path in sorted((ROOT / folder).rglob("*.py")) for fault in faults(path)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("ir/graph.py", "from sglc.passes import fold", "`ir` may not import `sglc.passes.fold`"),
        ("ir/graph.py", "import numpy", "`ir` may not import `numpy`"),
        ("ir/graph.py", "import kernels", "top-level `kernels`, write `sglc.kernels`"),
        ("ir/graph.py", "from . import types", "relative import, write `sglc.ir...`"),
        ("runtime/run.py", "import lark", "`runtime` may not import `lark`"),
        ("runtime/run.py", "from sglc.ir import ops", "`runtime` may not import `sglc.ir.ops`"),
        ("runtime/rows/x.py", "from sglc import ir", "`runtime` may not import `sglc.ir`"),
        ("runtime/rows/x.py", "import sglc.ir.typesetting", "import `sglc.ir.typesetting`"),
        ("runtime/rows/x.py", "from sglc import cli", "`runtime` may not import `sglc.cli`"),
        (
            "runtime/run.py",
            "from sglc.compiler import parse",
            "may not import `sglc.compiler.parse`",
        ),
        ("runtime/run.py", "from sglc.codegen import emit", "may not import `sglc.codegen.emit`"),
        ("codegen/plan.py", "from sglc.ir.ops import Gen", "may not import `sglc.ir.ops`"),
        ("compiler/x.py", "import sglc.runtime.machine", "may not import `sglc.runtime.machine`"),
        ("kernels/x.py", "if True:\n  from sglc.ir import types", "may not import `sglc.ir.types`"),
    ],
)
def test_a_seeded_fault_is_found(tmp_path: Path, place: str, line: str, fault: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"import json\nfrom sglc.ir.span import Span\n\n{line}\n")
    if place.startswith("kernels"):
        path.write_text(line + "\n")
    (found,) = faults(path, tmp_path)
    assert found.startswith(place + ":") and found.endswith(fault)


def test_allowed_imports_are_no_faults(tmp_path: Path) -> None:
    path = tmp_path / "runtime" / "x.py"
    path.parent.mkdir()
    path.write_text(
        "import torch\nfrom sglc import __version__\nfrom sglc.ir.host.expr import Value\n"
        "from sglc.codegen.plan import Plan\nfrom sglc.kernels.rms_norm import rms_norm\n"
    )
    assert list(faults(path, tmp_path)) == []
