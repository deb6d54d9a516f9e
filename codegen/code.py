"""Instructions with labels while they are written, and the straight code they become.

A target is written as a label, a negative int; `finish` puts the place of the label for it.
Law: finished code holds only instructions that can be reached, and no jump to the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import get_args

from sglc.codegen import instruction as p
from sglc.codegen.instruction import Instruction

Label = int

# the fields that hold a target
_TARGETS = ("to", "otherwise", "done", "entry", "handler")
# after these, what follows is reached by labels only
_ENDS = (p.Jump, p.Return, p.End, p.Fail)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a label stands."""

    label: Label


@dataclass(slots=True)
class Code:
    items: list[Instruction | _Place] = field(default_factory=list)
    num_labels: int = 0

    def label(self) -> Label:
        """A new label, placed nowhere yet."""
        self.num_labels += 1
        return -self.num_labels

    def place(self, label: Label) -> None:
        """The label stands for what is added next."""
        self.items.append(_Place(label))

    def add(self, instruction: Instruction) -> None:
        self.items.append(instruction)

    def drop(self, regs: set[int]) -> None:
        """Add a Drop, or widen the one just added."""
        last = self.items[-1] if self.items else None
        if isinstance(last, p.Drop):
            self.items.pop()
            regs = regs | set(last.regs)
        if regs:
            self.items.append(p.Drop(tuple(sorted(regs))))

    def finish(self) -> tuple[Instruction, ...]:
        """The code, its targets as indices."""
        places = {item.label: at for at, item in enumerate(self.items) if isinstance(item, _Place)}
        reached = self._reached(places)
        kept: list[Instruction] = []
        index = {}
        for at, item in enumerate(self.items):
            index[at] = len(kept)
            if isinstance(item, _Place) or at not in reached:
                continue
            if isinstance(item, p.Jump) and self._follows(at, places[item.to], reached):
                continue
            kept.append(item)
        at_label = {label: index[at] for label, at in places.items()}
        return tuple(_resolve(instruction, at_label) for instruction in kept)

    def _reached(self, places: dict[Label, int]) -> set[int]:
        """The positions that execution from the first item can come to."""
        reached: set[int] = set()
        waiting = [0]
        while waiting:
            at = waiting.pop()
            if at in reached:
                continue
            reached.add(at)
            item = self.items[at]
            waiting.extend(places[target] for _, target in _targets(item))
            if not isinstance(item, _ENDS):
                waiting.append(at + 1)
        return reached

    def _follows(self, at: int, target: int, reached: set[int]) -> bool:
        """Is there nothing to run between the jump at `at` and its target?"""
        between = range(at + 1, target)
        return target > at and all(
            p not in reached or isinstance(self.items[p], _Place) for p in between
        )


_TARGET_NAMES = {
    kind: tuple(f.name for f in fields(kind) if f.name in _TARGETS)
    for kind in (*get_args(Instruction), _Place)
}
# the classes of instructions differ in which of the targets they have
_replace: Callable[..., Instruction] = replace


def _targets(item: Instruction | _Place) -> list[tuple[str, Label]]:
    return [(name, getattr(item, name)) for name in _TARGET_NAMES[type(item)]]


def _resolve(instruction: Instruction, at_label: dict[Label, int]) -> Instruction:
    changes = {name: at_label[label] for name, label in _targets(instruction)}
    return _replace(instruction, **changes) if changes else instruction
