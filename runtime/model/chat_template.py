"""A model's jinja chat template, rendered as transformers renders it, on a fixed date.

Knows nothing of how the text is used (`chat.py` takes it apart).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sglc.runtime.model.errors import ModelError

PINNED_DATE = datetime(2024, 7, 26)
"""What a template that prints a date is told: the day that Llama's templates fall back to."""


class ChatTemplate:
    """`prints_date` becomes True once a rendering has asked for the date."""

    def __init__(self, source: str, special_names: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = self._date
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise ModelError(f"the model's chat template is not valid jinja: {error}") from error
        self._special_names = dict(special_names)
        self.prints_date = False

    def render(
        self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = False
    ) -> str | None:
        """The conversation's text, or None when the template refuses it."""
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_names,
            )
        except Exception:  # whatever a template trips over, it does not take this conversation
            return None

    def _date(self, layout: str) -> str:
        self.prints_date = True
        return PINNED_DATE.strftime(layout)


class _GenerationTag(Extension):
    """{% generation %} marks what a model wrote, for training; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012  (jinja's own declaration)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
