"""Prompts to compare two ways to run a model on: prose, questions, code, of different lengths."""

from __future__ import annotations

import random

NOUNS = ("river", "clock", "garden", "violin", "harbour", "teacher", "window", "engine", "orchard")
OPENINGS = (
    "The history of the {a} and the {b} begins",
    "Q: Why would a {a} need a {b}?\nA:",
    "def count_{a}s({b}):\n    ",
    "Once upon a time a {a} met a {b}.",
    "A letter to the {a} about its {b}, in four parts. First,",
)


def openings(count: int) -> list[str]:
    """Short texts, the same each time, in turn of each kind."""
    numbers = random.Random(7)
    return [
        OPENINGS[i % len(OPENINGS)].format(a=numbers.choice(NOUNS), b=numbers.choice(NOUNS))
        for i in range(count)
    ]
