"""Where the checker puts what it finds.

Law: one mistake is one diagnostic: the same code at the same place is kept once.
Knows nothing about what is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.compiler.diagnostics import Diagnostic, Label, Severity
from sglc.compiler.syntax import Node
from sglc.ir.span import Span

Place = Node | Span
Secondary = tuple[tuple[Place, str], ...]


@dataclass(slots=True)
class Report:
    """Diagnostics in the order found."""

    found: list[Diagnostic] = field(default_factory=list)
    _places: set[tuple[str, Span]] = field(default_factory=set)

    def error(
        self,
        code: str,
        message: str,
        at: Place,
        label: str = "",
        *,
        secondary: Secondary = (),
        help: str | None = None,
    ) -> None:
        self._add(Severity.error, code, message, at, label, secondary, help)

    def warning(
        self,
        code: str,
        message: str,
        at: Place,
        label: str = "",
        *,
        secondary: Secondary = (),
        help: str | None = None,
    ) -> None:
        self._add(Severity.warning, code, message, at, label, secondary, help)

    def extend(self, diagnostics: list[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self._keep(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity is Severity.error]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity is Severity.warning]

    def _add(
        self,
        severity: Severity,
        code: str,
        message: str,
        at: Place,
        label: str,
        secondary: Secondary,
        help: str | None,
    ) -> None:
        labels = tuple(Label(_span(place), text) for place, text in secondary)
        self._keep(Diagnostic(code, severity, message, Label(_span(at), label), labels, help))

    def _keep(self, diagnostic: Diagnostic) -> None:
        place = (diagnostic.code, diagnostic.primary.span)
        if place not in self._places:
            self._places.add(place)
            self.found.append(diagnostic)


def _span(place: Place) -> Span:
    return place if isinstance(place, Span) else place.span
