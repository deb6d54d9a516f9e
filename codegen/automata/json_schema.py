"""A JSON schema as `Rules`: every text is compact JSON of a value that is valid under the schema.

JSON Schema 2020-12, with draft 7's spellings. `schema_keywords.py` lists the keywords, and any
other is an error. Not every valid value can be generated:
- the properties of an object come in the order of `properties`, then what else is `required`;
- a property that is not declared comes only where `additionalProperties` says something of it, or
  where the schema declares no property at all;
- a schema without `type` yields values of the types that its keywords speak of, and any JSON value
  where they speak of none;
- strings and numbers are as `json_text.py` and `numbers.py` write them.
Patterns are Python's regexes, found anywhere in a string unless `^` and `$` hold them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.codegen.automata.build import NOTHING, alt, optional, repeat, seq
from sglc.codegen.automata.expr import Expr, Ref, Rules
from sglc.codegen.automata.json_text import (
    ANY_JSON,
    JSON_RULES,
    any_object,
    array,
    literal,
    member,
    other_name,
)
from sglc.codegen.automata.rules import pruned
from sglc.codegen.automata.schema_alternatives import Document
from sglc.codegen.automata.schema_node import ALL_TYPES, Flat, Place, Sub
from sglc.codegen.automata.schema_scalars import admits, number, string
from sglc.codegen.automata.source import NoText
from sglc.ir.host.expr import Value


def schema_rules(schema: Value) -> Rules:
    """The texts of the values that a schema allows. Raises ConstraintError with a JSON pointer."""
    writer = _Writer(Document(schema))
    root = writer.expr((Place(schema, ""),))
    if root == NOTHING:
        raise NoText("no value is valid here", pointer=writer.empty)
    return pruned(Rules(root, (*JSON_RULES, *writer.rules.items())))


@dataclass(slots=True)
class _Writer:
    """`rules` are named by the pointers of what they stand for: what a reference leads to, and what
    contains itself. `empty` is the first place found that allows no value."""

    document: Document
    rules: dict[str, Expr] = field(default_factory=dict)
    empty: str | None = None
    _done: dict[str, Expr] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _called: set[str] = field(default_factory=set)

    def expr(self, sub: Sub) -> Expr:
        """The texts of the values for which all places hold."""
        if not sub:
            return ANY_JSON
        places = tuple(self.document.target(place) or place for place in sub)
        name = " ".join("#" + place.pointer for place in places)
        if name in self._open:
            self._called.add(name)
            return Ref(name)
        if name not in self._done:
            self._open.append(name)
            found = self._alternatives(places)
            self._open.pop()
            if places != sub or name in self._called:
                self.rules[name] = found
                found = Ref(name)
            self._done[name] = found
        return self._done[name]

    def _alternatives(self, sub: Sub) -> Expr:
        found = alt(*(self._flat(flat) for flat in self.document.alternatives(sub)))
        if found == NOTHING and self.empty is None:
            self.empty = sub[0].pointer
        return found

    def _flat(self, flat: Flat) -> Expr:
        if flat.values is not None:
            return alt(*(literal(value) for value in flat.values if admits(flat, value)))
        types = flat.types
        if types == ALL_TYPES:
            types = flat.hints
            if not types:
                return ANY_JSON
        options: list[Expr] = []
        if "null" in types:
            options.append(literal(None))
        if "boolean" in types:
            options += [literal(True), literal(False)]
        if "integer" in types or "fraction" in types:
            options.append(number(flat, is_whole="fraction" not in types))
        if "string" in types:
            options.append(string(flat))
        if "array" in types:
            options.append(self._array(flat))
        if "object" in types:
            options.append(self._object(flat))
        return alt(*options)

    def _array(self, flat: Flat) -> Expr:
        prefix = [self.expr(sub) for sub in flat.prefix]
        item = self.expr(flat.items or ())
        return array(prefix, item, flat.min_items, flat.max_items)

    def _object(self, flat: Flat) -> Expr:
        names = dict.fromkeys([*flat.properties, *flat.required])
        if not names and flat.additional is None:
            return any_object(ANY_JSON)
        members = [
            (member(name, self.expr(flat.of_property(name))), name in flat.required)
            for name in names
        ]
        extra = NOTHING
        if flat.additional is not None:
            extra = seq(other_name(list(names)), ":", self.expr(flat.additional))
        return seq("{", _listed(members, extra), "}")


def _listed(members: list[tuple[Expr, bool]], extra: Expr) -> Expr:
    """The members in order, those that are not required each there or not, then any number of
    extra ones, with commas between all that are there."""
    after = [
        seq(",", one) if is_required else optional(seq(",", one)) for one, is_required in members
    ]
    after.append(repeat(seq(",", extra), 0, None))
    required = [i for i, (_, is_required) in enumerate(members) if is_required]
    if required:
        # what comes before the first required member has its comma behind it
        first = required[0]
        before = [optional(seq(one, ",")) for one, _ in members[:first]]
        return seq(*before, members[first][0], *after[first + 1 :])
    options = [seq(one, *after[i + 1 :]) for i, (one, _) in enumerate(members)]
    return optional(alt(*options, seq(extra, after[-1])))
