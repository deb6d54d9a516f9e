"""Which names each file declares and sees: duplicates, and names the language keeps for itself."""

from __future__ import annotations

from sglc.compiler import declaration, syntax
from sglc.compiler.check.builtins import FUNCTION_NAMES, TYPE_NAMES
from sglc.compiler.check.modules import Declared, Module, Named
from sglc.compiler.check.report import Report
from sglc.compiler.check.tables import Tables


def declare(module: Module, tables: Tables) -> None:
    """Fill the names of `module`; those of the files it imports are known already."""
    own = _Names(module, tables.report)
    for named in module.named():
        tables.homes[named] = module
        own.add(named.name, Declared(named))
    for decl in module.file.decls:
        if not isinstance(decl, declaration.Import):
            continue
        imported = module.imports.get(decl)
        if decl.alias is not None:
            own.add_alias(decl.alias, decl)
            continue
        if imported is None:
            continue
        for name in imported.exported():
            found = imported.names[name]
            own.add(decl.path, Declared(found.decl, decl), name)


def kind_of(decl: Named) -> str:
    """What people call a declaration."""
    match decl:
        case declaration.Const():
            return "a const"
        case declaration.RecordDecl() | declaration.AliasDecl():
            return "a type"
        case declaration.Extern():
            return "an extern"
        case declaration.Fragment():
            return "a fragment"
        case declaration.Program():
            return "a program"


class _Names:
    """The name table of one module while it is filled."""

    def __init__(self, module: Module, report: Report) -> None:
        self.module = module
        self.report = report
        self.places: dict[str, syntax.Node] = {}

    def add(self, place: syntax.Node, found: Declared, imported_as: str = "") -> None:
        name = imported_as or found.decl.name.text
        if self._is_free(name, place, found.decl if found.via else None):
            self.places[name] = place
            self.module.names[name] = found

    def add_alias(self, alias: syntax.Identifier, decl: declaration.Import) -> None:
        if self._is_free(alias.text, alias, None):
            self.places[alias.text] = alias
            self.module.aliases[alias.text] = decl

    def _is_free(self, name: str, place: syntax.Node, imported: Named | None) -> bool:
        """False, with the error, when the name is taken. `imported` is what an import without `as`
        brings in under it."""
        if imported is None and (name in FUNCTION_NAMES or name in TYPE_NAMES):
            what = "type" if name in TYPE_NAMES and name not in FUNCTION_NAMES else "function"
            self.report.error(
                "E0202",
                f"`{name}` is a built-in {what}",
                place,
                "a file cannot declare this name",
                help="choose another name",
            )
            return False
        if name not in self.places:
            return True
        earlier = self.places[name]
        if imported is not None:
            known = self.module.names.get(name)
            if known is not None and known.decl is imported:
                return False  # the same declaration, imported twice
            message = f"this import brings in a second `{name}`"
            help = 'import it `as` a name of its own: `import "..." as other`'
        else:
            message, help = f"`{name}` is declared twice", "rename one of the two"
        self.report.error(
            "E0201",
            message,
            place,
            "declared again",
            secondary=((earlier, "first here"),),
            help=help,
        )
        return False
