"""Seconds to compile 50 JSON schemas of growing size: cold, and read from a plan.

    python examples/benchmarks/schema_compile.py

Schema n has n properties of mixed kinds, every fifth an object or a list of objects.
"""

from __future__ import annotations

import time

import sglc
from sglc.codegen.plan_file import read_plan, write_plan

KINDS: tuple[dict, ...] = (
    {"type": "string", "maxLength": 24},
    {"type": "integer", "minimum": 0, "maximum": 150},
    {"enum": ["red", "green", "blue", "black"]},
    {"type": "string", "format": "date"},
    {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3},
)
PROGRAM = """
const SCHEMA = {}

program main(text: str):
    "{text}"
    gen value(json_schema=SCHEMA, max_tokens=4000)
    return value
"""


def schema_of(size: int) -> dict:
    """An object of `size` properties, all required."""
    properties: dict[str, dict] = {}
    for number in range(size):
        kind = KINDS[number % len(KINDS)]
        if number % 5 == 4 and number % 10 != 4:
            kind = {"type": "object", "properties": {"inner": kind}, "required": ["inner"]}
        properties[f"field_{number}"] = kind
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def main() -> None:
    sglc.compile(PROGRAM, define={"SCHEMA": {"type": "boolean"}})  # tokenizer and vocabulary
    print("properties  kind    states  plan KiB  cold s  from plan s")
    for size in range(1, 51):
        begin = time.perf_counter()
        program = sglc.compile(PROGRAM, define={"SCHEMA": schema_of(size)})
        cold = time.perf_counter() - begin
        data = write_plan(program.plan)
        begin = time.perf_counter()
        plan = read_plan(data)
        warm = time.perf_counter() - begin
        compiled = plan.constraints[0].compiled
        states = getattr(compiled, "num_states", 0)
        kind = "table" if states else "xgrammar"
        print(f"{size:10}  {kind:8}{states:6}{len(data) / 1024:10.0f}{cold:8.2f}{warm:8.3f}")


if __name__ == "__main__":
    main()
