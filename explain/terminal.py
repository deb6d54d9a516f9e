"""A report on a terminal, in colours; elsewhere as it is."""

from __future__ import annotations

import os
import sys

# the page's colours: what is known when compiling, when rows are bound, while running
_STYLES = (
    (r"^\S.*:$", "bold"),
    (r"^ *\d+  const\b|^  const\b", "bright_black"),
    (r"^ *\d+  input\b|^  input\b", "blue"),
    (r"^ *\d+  gen\b|^  gen\b", "yellow"),
    (r"  <- .*$", "bright_black"),
)


def show(text: str) -> None:
    """Print a report on stdout."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text(text)
    for pattern, style in _STYLES:
        shown.highlight_regex(f"(?m){pattern}", style)
    Console(highlight=False).print(shown, soft_wrap=True)
