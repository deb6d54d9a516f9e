"""The files of a program: reading them, following their imports, and the names each one sees.

The rule of imports: `import "f.sgl" as m` makes each declaration of that file `m.name`; without
`as` they come in by their own names. Imports are not handed on: a file sees what it declares and
what the files it imports itself declare. Programs are never imported.
Knows nothing about what declarations mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sglc.compiler import declaration
from sglc.compiler.check.report import Report
from sglc.compiler.diagnostics import Diagnostic, nearest, whole_file
from sglc.compiler.parse import parse
from sglc.compiler.source import decode
from sglc.ir.span import Source, Span

Named = (
    declaration.Const
    | declaration.RecordDecl
    | declaration.AliasDecl
    | declaration.Extern
    | declaration.Fragment
    | declaration.Program
)


@dataclass(frozen=True, slots=True)
class Declared:
    """A name that a file sees: what it means, and the import it came by (None for its own)."""

    decl: Named
    via: declaration.Import | None = None


@dataclass(slots=True, eq=False)
class Module:
    """One source file. `names` and `aliases` are filled by `declarations.declare`."""

    path: Path | None  # None for text that lies in no file
    file: declaration.File
    imports: dict[declaration.Import, Module] = field(default_factory=dict)
    names: dict[str, Declared] = field(default_factory=dict)
    aliases: dict[str, declaration.Import] = field(default_factory=dict)
    is_partial: bool = False  # an import failed: names that are missing may stand there

    @property
    def folder(self) -> Path:
        """Where relative paths of this file start."""
        return self.path.parent if self.path else Path.cwd()

    def named(self) -> Iterator[Named]:
        """The file's own declarations but imports, in order."""
        for decl in self.file.decls:
            if not isinstance(decl, declaration.Import):
                yield decl

    def find(self, name: str) -> Declared | None:
        """The declaration that `name` or `alias.name` refers to in this file."""
        alias, dot, rest = name.partition(".")
        if not dot:
            return self.names.get(name)
        imported = self.aliases.get(alias)
        if imported is None or imported not in self.imports:
            return None
        found = self.imports[imported].names.get(rest)
        if found is None or found.via is not None or isinstance(found.decl, declaration.Program):
            return None
        return Declared(found.decl, imported)

    def exported(self) -> list[str]:
        """The names that other files can import."""
        return [
            name
            for name, found in self.names.items()
            if found.via is None and not isinstance(found.decl, declaration.Program)
        ]


@dataclass(slots=True)
class Loader:
    """Parses each file once. `sources[i]` is the file that spans number i; `modules` come callees
    first, so that a file's imports stand before it."""

    report: Report
    sources: list[Source] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    is_broken: bool = False  # a file has syntax errors
    _loaded: dict[Path, Module | None] = field(default_factory=dict)
    _open: list[Path] = field(default_factory=list)

    def load_main(self, path: Path | None, text: str | None) -> Module | None:
        """The file that is compiled; with `text`, that is its content and `path` only its place."""
        name = str(path) if path else "<program>"
        if text is not None:
            return self._load(path, Source(name, text), None)
        if path is None:
            raise ValueError("either a path or a text is needed")
        data = self._read(path, path, None)
        return None if data is None else self._load(path, *decode(name, data, len(self.sources)))

    def _load(self, path: Path | None, source: Source, fault: Diagnostic | None) -> Module | None:
        self.sources.append(source)
        file, diagnostics = (None, [fault]) if fault else parse(source, len(self.sources) - 1)
        self.report.extend(diagnostics)
        self.is_broken = self.is_broken or bool(diagnostics)
        if file is None:
            return None
        module = Module(path, file)
        if path is not None:
            self._open.append(path.resolve())
        for decl in file.decls:
            if isinstance(decl, declaration.Import):
                imported = self._import(decl, module)
                if imported is None:
                    module.is_partial = True
                else:
                    module.imports[decl] = imported
        if path is not None:
            self._open.pop()
        self.modules.append(module)
        return module

    def _import(self, decl: declaration.Import, module: Module) -> Module | None:
        shown = "".join(part for part in decl.path.parts if isinstance(part, str))
        if len(decl.path.parts) != 1 or decl.path.parts != (shown,):
            self.report.error(
                "E0501", "the path of an import is a plain string", decl.path, "not a plain string"
            )
            return None
        path = module.folder / shown
        key = path.resolve()
        if key in self._open:
            cycle = [*self._open[self._open.index(key) :], key]
            names = " -> ".join(f"`{p.name}`" for p in cycle)
            self.report.error(
                "E0502",
                f"imports go in a circle: {names}",
                decl.path,
                "this closes the circle",
                help="move what both files need into a third one",
            )
            return None
        if key not in self._loaded:
            self._loaded[key] = None
            data = self._read(path, Path(shown), decl.path.span)
            if data is not None:
                name = str(Path(self._name(module)).parent / shown)
                self._loaded[key] = self._load(path, *decode(name, data, len(self.sources)))
        return self._loaded[key]

    def _name(self, module: Module) -> str:
        return self.sources[module.file.span.file].name if module.path else ""

    def _read(self, path: Path, shown: Path, at: Span | None) -> bytes | None:
        """The bytes of a source file; the failure is reported where the file is named."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            problem = f"there is no file `{shown}`"
        except IsADirectoryError:
            problem = f"`{shown}` is a folder, not a file"
        except OSError as error:
            problem = f"cannot read `{shown}`: {(error.strerror or '').lower()}"
        if at is None:
            self.sources.append(Source(str(shown), ""))
            at = whole_file(len(self.sources) - 1)
        folder = path.parent
        found = sorted(p.name for p in folder.glob("*.sgl")) if folder.is_dir() else []
        others = [name for name in found if name != path.name]
        meant = nearest(path.name, others)
        listed = ", ".join(f"`{name}`" for name in others[:5])
        help = f"the folder holds {listed}" if others else None
        if meant is not None:
            help = f"did you mean `{meant}`?"
        self.report.error("E0501", problem, at, "" if at.line == 0 else "not found", help=help)
        return None
