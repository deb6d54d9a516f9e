"""Thinking told from answers, for marks that are control tokens and marks that are text."""

from __future__ import annotations

import pytest

from sglc.runtime.engine.request import GenResult
from sglc.runtime.machine.reasoning import Split, split_reasoning

TOKEN_MARKS = ("<think>", "</think>")  # control tokens of the toy tokenizer
TEXT_MARKS = ("[T]", "[/T]")


def result_of(tokenizer, text, marks, rest=""):
    """What an engine answers: control tokens are among the ids and not in the text."""
    ids: list[int] = []
    left = text
    while left:
        places = [left.find(mark) for mark in marks if tokenizer.control_id(mark) is not None]
        place = min((at for at in places if at >= 0), default=len(left))
        ids += tokenizer.encode(left[:place])
        left = left[place:]
        for mark in marks:
            if left.startswith(mark):
                ids.append(tokenizer.control_id(mark))
                left = left[len(mark) :]
    shown = tokenizer.decode(ids) + rest
    return GenResult(None, None, shown, rest, tuple(ids), len(ids), "stop")  # type: ignore[arg-type]


@pytest.mark.parametrize("marks", [TOKEN_MARKS, TEXT_MARKS])
@pytest.mark.parametrize(
    ("text", "before", "split"),
    [
        ("<hm\n>\n\nYes.", [], Split("hm", "Yes.")),
        ("hm>Yes.", [], Split("hm", "Yes.")),
        ("Yes.", [], Split("", "Yes.")),
        ("<hm", [], Split("hm", "")),
        ("hm", ["ab", "<", "\n"], Split("hm", "")),
        ("hm", ["<", "ab"], Split("", "hm")),
        ("<a>b>c", [], Split("a", "b>c")),
    ],
)
def test_split(tokenizer, marks, text, before, split):
    """`<` and `>` stand for the marks."""

    def spelt(short):
        return short.replace("<", "\0").replace(">", marks[1]).replace("\0", marks[0])

    pieces = [tokenizer.control_id(marks[0]) or marks[0] if x == "<" else x for x in before]
    found = split_reasoning(result_of(tokenizer, spelt(text), marks), tokenizer, marks, pieces)
    assert (found.thinking, found.answer) == (spelt(split.thinking), spelt(split.answer))


@pytest.mark.parametrize("marks", [TOKEN_MARKS, TEXT_MARKS])
def test_the_rest_is_part_of_the_answer(tokenizer, marks):
    result = result_of(tokenizer, f"hm{marks[1]}Ye", marks, rest="s")
    assert split_reasoning(result, tokenizer, marks, []).answer == "Yes"
