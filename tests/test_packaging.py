"""What an installed sglc holds, needs and puts on the import path."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("bench", "codegen", "compiler", "explain", "ir", "kernels", "passes", "runtime")

# where a distribution's name is not its module's
MODULES = {"huggingface-hub": "huggingface_hub"}


def source_files() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_the_list_of_packages_is_the_folders() -> None:
    folders = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    found = {".".join(("sglc", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {"sglc", *found}
    missing = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]
    assert not missing, f"without __init__.py: {missing}"


@pytest.mark.parametrize("name", [*FOLDERS, "tests", "examples"])
def test_folders_are_no_top_level_modules(name: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import importlib.util as i; print(i.find_spec({name!r}))"],
        cwd=ROOT.anchor,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "None\n"


def test_the_checkout_is_not_on_the_path() -> None:
    # Hugging Face has a package `kernels`, which transformers imports when it finds one
    found = [name for name in FOLDERS if importlib.util.find_spec(name) is not None]
    assert not found, "run `pytest`, not `python -m pytest`"


def test_imports_are_declared_and_needed() -> None:
    """Every package that the code imports is a dependency, and every dependency is imported."""
    imported: set[str] = set()
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "sglc"}
    project = PROJECT["project"]
    needed = {MODULES.get(name, name) for name in names(project["dependencies"])}
    extra = {MODULES.get(name, name) for name in names(project["optional-dependencies"]["convert"])}
    assert imported - extra == needed


def test_import_is_light() -> None:
    code = "import sys, sglc; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert "sglc" in loaded
    assert not loaded & {"torch", "lark", "numpy", "transformers", "sglc.api", "sglc.compiler"}


def test_the_runtime_needs_no_compiler() -> None:
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(['lark', 'networkx']))\n"
        "import sglc.runtime.job, sglc.runtime.session, sglc.runtime.model.load\n"
        "print([m for m in sys.modules if m.startswith(('sglc.compiler', 'sglc.passes'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built out of the tracked files alone, as a fresh clone would."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools to build a wheel")
    tree = tmp_path_factory.mktemp("tree")
    for name in ("README.md", "LICENSE", "pyproject.toml", "py.typed"):
        shutil.copy(ROOT / name, tree)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, tree)
    for folder in FOLDERS:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=skip)
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=True)
    (found,) = (tree / "dist").glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    info = {name for name in inside if ".dist-info/" in name}
    expected = {f"sglc/{path.relative_to(ROOT).as_posix()}" for path in source_files()}
    data = {"sglc/py.typed", "sglc/compiler/sgl.lark", "sglc/compiler/LANGUAGE.md"}
    page = ("page.html", "page.css", "page.js", "graph.js", "batch.js", "schema.json")
    data |= {f"sglc/explain/{name}" for name in page}
    sources = (ROOT / "kernels" / "cuda").glob("*.cu*")
    data |= {f"sglc/kernels/cuda/{path.name}" for path in sources}
    assert inside - info == expected | data
    assert any(name.endswith("licenses/LICENSE") for name in info)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Python: >=3.11" in text
    (entry,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert "sglc = sglc.cli:command" in archive.read(entry).decode()
