"""Rows for `lines.sgl`: names and numbers at random.

python examples/line_retrieval/make_lines.py [--rows 8] [--lines 40] > lines.jsonl
"""

import argparse
import json
import random

SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "ti", "vo", "zu")
NUM_PARTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--lines", type=int, default=40)
    args = parser.parse_args()
    rng = random.Random(0)
    for _ in range(args.rows):
        names = ["".join(rng.choices(SYLLABLES, k=4)) for _ in range(args.lines)]
        numbers = [rng.randrange(10_000, 100_000) for _ in names]
        pairs = zip(names, numbers, strict=True)
        lines = [f"line {name}: the number is {number}" for name, number in pairs]
        parts = [lines[first::NUM_PARTS] for first in range(NUM_PARTS)]
        asked = rng.randrange(args.lines)
        print(json.dumps({"parts": parts, "name": names[asked], "expected": str(numbers[asked])}))


if __name__ == "__main__":
    main()
