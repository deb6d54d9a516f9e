"""Rows for `enrich.sgl`: three columns with few values each.

python examples/table_enrichment/make_table.py [--rows 200] > products.jsonl
"""

import argparse
import json
import random

PRODUCTS = (
    "chair",
    "kettle",
    "lamp",
    "backpack",
    "bicycle helmet",
    "cutting board",
    "tent",
    "vase",
)
COLORS = ("red", "black", "white", "green", "blue")
MATERIALS = ("steel", "oak", "cotton", "glass", "plastic", "leather")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    args = parser.parse_args()
    rng = random.Random(0)
    for _ in range(args.rows):
        row = {
            "product": rng.choice(PRODUCTS),
            "color": rng.choice(COLORS),
            "material": rng.choice(MATERIALS),
        }
        print(json.dumps(row))


if __name__ == "__main__":
    main()
