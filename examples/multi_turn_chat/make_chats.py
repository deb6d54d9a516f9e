"""Rows for `chat.sgl`: prompts of random letters and digits, as in SGLang's benchmark.

python examples/multi_turn_chat/make_chats.py [--rows 20] [--long] > chats.jsonl
"""

import argparse
import json
import random
import string

TURNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--long", action="store_true", help="256 to 512 tokens an answer")
    args = parser.parse_args()
    rng = random.Random(42)
    for _ in range(args.rows):
        lengths = [rng.randrange(64, 129) for _ in range(TURNS)]
        prompts = ["".join(rng.choices(string.ascii_letters + string.digits, k=n)) for n in lengths]
        max_tokens = rng.randrange(256, 513) if args.long else rng.randrange(4, 9)
        print(json.dumps({"prompts": prompts, "max_tokens": max_tokens}))


if __name__ == "__main__":
    main()
