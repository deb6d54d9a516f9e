"""The extern of `live.sgl`: a search in a few facts.

sglc run examples/react/live.sgl --extern examples/react/tools.py --inputs ...
"""

FACTS = {
    "Lake Constance": "Lake Constance touches three countries. The Rhine flows through it.",
    "Rhine": "The Rhine rises in the Alps and flows into the North Sea at Rotterdam.",
    "cello": "The cello has four strings and is tuned an octave below the viola.",
    "viola": "The viola has four strings and is a fifth lower than the violin.",
    "basalt": "Basalt is a dark rock that forms when lava cools quickly.",
}


def search(words: str) -> str:
    """The first fact whose name occurs in `words`."""
    for name, fact in FACTS.items():
        if name.lower() in words.lower():
            return fact
    raise LookupError(f"nothing is known of {words!r}")
