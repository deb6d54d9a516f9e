"""The report as one page of HTML that opens from disk and asks nobody for anything.

`page.html`, `page.css` and the scripts beside this file are put into one, the data as JSON in a
script element.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_SCRIPTS = ("page.js", "graph.js", "batch.js")  # the first has what all use


def page(data: Mapping[str, Any]) -> str:
    """The page that shows `data` (`report.page_data`)."""
    folder = files("sglc.explain")
    parts = {
        "TITLE": _escaped(str(data["plan"]["program"])),
        "STYLE": folder.joinpath("page.css").read_text(encoding="utf-8"),
        "DATA": _json_in_script(data),
        "SCRIPT": "\n".join(folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS),
    }
    text = folder.joinpath("page.html").read_text(encoding="utf-8")
    # in one go, so that no part is searched for the marks of others
    pieces = text.split("@@")
    return "".join(parts[piece] if k % 2 else piece for k, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json_in_script(data: Mapping[str, Any]) -> str:
    """JSON without any `<`: no text in it can end the script element or begin a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
