"""A chat template taken apart into what opens and what closes each role.

Whole conversations are rendered with sentinels for their contents; what stands between two contents
is the first role's closing and the second's opening. The closing of a role is what all the texts
that may follow its content have in common, the opening is the rest.
Law: for every conversation probed, openings, contents and closings put together give the rendering
up to the end of its last content. A template for which that cannot be had is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sglc.codegen.plan import Markup
from sglc.runtime.model.chat_probe import Between, Probe, observe
from sglc.runtime.model.chat_template import PINNED_DATE, ChatTemplate
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.pieces import Pieces, Splitter, common_prefix, without_prefix
from sglc.runtime.model.vocabulary import Vocabulary

# from the most that a template may allow to the least that is of use
_PROBES = (
    Probe(system="anywhere", has_tool=True),
    Probe(system="first", has_tool=True),
    Probe(system="anywhere", has_tool=False),
    Probe(system="first", has_tool=False),
    Probe(system="none", has_tool=True),
    Probe(system="none", has_tool=False),
)


def derive_markup(source: str | None, vocabulary: Vocabulary) -> Markup:
    """The markup of the template `source`; without one, no roles. Raises ModelError."""
    bos = () if vocabulary.bos_id is None else (vocabulary.bos_id,)
    start: Pieces = (*bos, " ") if vocabulary.dummy_space else bos
    if source is None:
        missing = "the model has no chat template: roles are not available"
        return Markup(opening={}, closing={}, start=start, notes=(missing,))
    template = ChatTemplate(source, vocabulary.special_names)
    probe, between = _first_that_decomposes(template)
    splitter = Splitter(vocabulary.controls)
    closing = {role: _closing(role, between, splitter) for role in between.roles}
    opening, prompt_notes = _openings(between, closing, splitter)
    for (previous, role), pieces in opening.items():
        if not previous:
            opening[previous, role] = _at_start(pieces, bos, vocabulary.dummy_space)
    return Markup(
        opening=opening,
        closing=closing,
        start=start,
        default_system=_default_system(between),
        pinned_date=f"{PINNED_DATE:%d %b %Y}" if template.prints_date else None,
        notes=(*_role_notes(probe, between), *prompt_notes),
    )


def _first_that_decomposes(template: ChatTemplate) -> tuple[Probe, Between]:
    conflict = ""
    for probe in _PROBES:
        between = observe(template, probe)
        if between.conflict is None and {"user", "assistant"} <= set(between.roles):
            return probe, between
        conflict = between.conflict or "it does not show what user and assistant say"
    raise ModelError(
        f"the model's chat template cannot be taken apart into openings and closings: {conflict}"
    )


def _closing(role: str, between: Between, splitter: Splitter) -> Pieces:
    following = [
        *(text for (previous, _), text in between.texts.items() if previous == role),
        *between.tails.get(role, ()),
        *between.prompts.get(role, ()),
    ]
    return common_prefix([splitter.split(text) for text in following])


def _openings(
    between: Between, closing: dict[str, Pieces], splitter: Splitter
) -> tuple[dict[tuple[str, str], Pieces], tuple[str, ...]]:
    """Openings by (previous, role). An assistant's is the template's generation prompt, where it
    has one: what a model is to go on from, and not what is written around finished answers."""
    opening: dict[tuple[str, str], Pieces] = {}
    differs = False
    for (previous, role), text in between.texts.items():
        rest = without_prefix(splitter.split(text), closing.get(previous, ()))
        if role == "assistant" and previous in between.prompts:
            (prompt,) = between.prompts[previous]
            prompt_rest = without_prefix(splitter.split(prompt), closing[previous])
            if between.has_generation_prompt or _is_blank(rest):
                differs = differs or prompt_rest != rest
                rest = prompt_rest
        opening[previous, role] = rest
    if not differs:
        return opening, ()
    return opening, (
        "the template's generation prompt differs from what it writes before a finished "
        "answer: an assistant role opens with the generation prompt",
    )


def _is_blank(pieces: Pieces) -> bool:
    """Only white space: a model writes that itself, as the start of its first token."""
    return all(isinstance(piece, str) and not piece.strip() for piece in pieces)


def _at_start(pieces: Pieces, bos: tuple[int, ...], dummy_space: bool) -> Pieces:
    """BOS exactly once, then the dummy space where the reference tokenizer puts one."""
    if pieces[: len(bos)] != bos:
        pieces = bos + pieces
    rest = pieces[len(bos) :]
    if not dummy_space or (rest and isinstance(rest[0], int)):
        return pieces
    text = rest[0] if rest and isinstance(rest[0], str) else ""
    return (*bos, " " + text, *rest[1:])


def _default_system(between: Between) -> str | None:
    """What the template says in place of a system text: the middle of what stands before a user's
    first words, when its ends are those of a system role."""
    alone = between.texts.get(("", "user"))
    before = between.texts.get(("", "system"))
    after = between.texts.get(("system", "user"))
    if alone is None or before is None or after is None:
        return None
    if not alone.startswith(before) or not alone.endswith(after):
        return None
    middle = alone[len(before) : len(alone) - len(after)]
    return middle if middle.strip() else None


def _role_notes(probe: Probe, between: Between) -> Iterable[str]:
    for role in ("system", "tool"):
        if role not in between.roles:
            yield f"the template has no {role} role"
    if probe.system == "first" and "system" in between.roles:
        yield "the template takes a system role only at the start"


def end_of_turn(markup: Markup) -> Sequence[int]:
    """The control token that ends an assistant's turn, if one does."""
    controls = [piece for piece in markup.closing.get("assistant", ()) if isinstance(piece, int)]
    return controls[:1]
