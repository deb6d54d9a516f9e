"""What a chat template writes between contents, seen by rendering many small conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from sglc.runtime.model.chat_template import ChatTemplate

Roles = tuple[str, ...]

_LONGEST = 4  # every conversation up to this many turns is tried

# contents that a template which escapes, trims inside or looks into its contents would give away
_PLAIN = "xq{}qx"
_CONTENTS = (
    _PLAIN,
    'xq{0}qx it\'s "so" & <b>\n\n  3 > 2; yes? xq{0}qx',
    '{{"xq{0}qx": [1, 2.5, null]}}',
)

# turns of a longer conversation, by which rules on position and alternation would show
_LONG = (
    ("user", "assistant", "user", "assistant", "user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
    ("user", "assistant", "tool", "assistant", "user", "assistant", "user"),
    ("system", "user", "assistant", "tool", "tool", "assistant", "user"),
    ("user", "user", "assistant", "assistant", "user", "user"),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Which conversations are tried. `system` is "anywhere", "first" or "none"."""

    system: str
    has_tool: bool

    def conversations(self) -> Iterator[tuple[Roles, str]]:
        """(roles, content pattern) of each."""
        roles = ["user", "assistant"]
        roles += ["system"] if self.system != "none" else []
        roles += ["tool"] if self.has_tool else []
        for content in _CONTENTS:
            longest = _LONGEST if content == _PLAIN else _LONGEST - 1
            for length in range(1, longest + 1):
                yield from ((turns, content) for turns in product(roles, repeat=length))
        yield from ((turns, _PLAIN) for turns in _LONG if set(turns) <= set(roles))

    def allows(self, turns: Roles) -> bool:
        return self.system != "first" or "system" not in turns[1:]


@dataclass(slots=True)
class Between:
    """The texts seen. `texts[previous, role]` stands between the two contents ("" for the start),
    `tails[role]` after a last content, `prompts[role]` the same with a generation prompt.

    `conflict` says which two conversations do not agree, None when all do.
    """

    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    tails: dict[str, set[str]] = field(default_factory=dict)
    prompts: dict[str, set[str]] = field(default_factory=dict)
    has_generation_prompt: bool = False
    conflict: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(dict.fromkeys(role for _, role in self.texts))


def observe(template: ChatTemplate, probe: Probe) -> Between:
    """Render each conversation of the probe that the template takes; stops at a first conflict."""
    seen = Between()
    finished: dict[tuple[str, str], str] = {}
    for turns, content in probe.conversations():
        if not probe.allows(turns):
            continue
        contents = [content.format(place) for place in range(len(turns))]
        messages = [
            {"role": role, "content": text} for role, text in zip(turns, contents, strict=True)
        ]
        rendered = template.render(messages)
        if rendered is None:
            continue
        gaps = _gaps(rendered, contents)
        if gaps is None and turns[-1] == "system":
            continue  # a system text that is written with the user's text after it
        if gaps is None:
            seen.conflict = f"it does not show the contents of {' '.join(turns)} as they are"
            return seen
        seen.tails.setdefault(turns[-1], set()).add(gaps[-1])
        for place, role in enumerate(turns):
            key = (turns[place - 1] if place else "", role)
            # what stands before a conversation's last answer may be made up for show (an empty
            # reasoning block): it counts only where nothing else is known
            is_shown_answer = role == "assistant" and place == len(turns) - 1
            known = (finished if is_shown_answer else seen.texts).setdefault(key, gaps[place])
            if known != gaps[place] and not is_shown_answer:
                seen.conflict = _two_ways(key, known, gaps[place])
                return seen
        if not _observe_prompt(template, seen, messages, contents, gaps):
            return seen
    for key, text in finished.items():
        seen.texts.setdefault(key, text)
    seen.conflict = _missing_place(seen)
    return seen


def _missing_place(seen: Between) -> str | None:
    """A role that the template takes only where alternation happens to let it through, and not
    where it belongs, is none: a system text comes first, a tool answers an assistant."""
    if "system" in seen.roles and ("", "system") not in seen.texts:
        return "it does not take a system role at the start"
    if "tool" in seen.roles and ("assistant", "tool") not in seen.texts:
        return "it does not take a tool role after an assistant"
    return None


def _observe_prompt(
    template: ChatTemplate,
    seen: Between,
    messages: list[dict[str, str]],
    contents: list[str],
    gaps: list[str],
) -> bool:
    """The same conversation with a generation prompt; False on a conflict."""
    rendered = template.render(messages, add_generation_prompt=True)
    prompted = None if rendered is None else _gaps(rendered, contents)
    if prompted is None:
        return True
    role = messages[-1]["role"]
    if role == "assistant" and prompted[:-1] != gaps[:-1]:
        return True
    if prompted[-1] != gaps[-1]:
        seen.has_generation_prompt = True
    known = seen.prompts.setdefault(role, {prompted[-1]})
    if prompted[-1] not in known:
        seen.conflict = _two_ways((role, "generation prompt"), next(iter(known)), prompted[-1])
        return False
    return True


def _two_ways(key: tuple[str, str], one: str, other: str) -> str:
    place = f"between {key[0]} and {key[1]}" if key[0] else f"before a first {key[1]}"
    return f"{place} it writes {one!r} in one conversation and {other!r} in another"


def _gaps(rendered: str, contents: Sequence[str]) -> list[str] | None:
    """What stands before, between and after the contents, if each is there once and in order."""
    gaps, rest = [], rendered
    for content in contents:
        gap, found, rest = rest.partition(content)
        if not found:
            return None
        gaps.append(gap)
    gaps.append(rest)
    if any(content in gap for content in contents for gap in gaps):
        return None
    return gaps
