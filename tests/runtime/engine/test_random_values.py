"""What random weights write at temperature 1 under constraints, by the whole engine: every value is
valid under its schema by `jsonschema`, and matches its regex by `re`, whether a table or xgrammar's
matcher said what may come."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from sglc.codegen.automata.constraint import Grammar
from sglc.codegen.automata.source import ConstraintSource
from sglc.runtime.engine.request import GenRequest, Sampling

SCHEMAS = Path(__file__).parents[2] / "codegen" / "automata" / "schemas.json"
CASES = json.loads(SCHEMAS.read_text("utf-8"))
NUM_VALUES = 15  # of each schema, as a table and as a grammar: 2,130 of 71
NUM_MATCHES = 3  # of each regex, likewise
ROOM = (0, 1, 3, 8, 24)  # tokens beyond the fewest


def validator(schema):
    kind = Draft202012Validator
    if isinstance(schema, dict) and "draft-07" in schema.get("$schema", ""):
        kind = Draft7Validator
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


@pytest.fixture
def texts_of(words_engine, run):
    """So many texts that random weights write for each constraint, in one engine."""

    def generate(constraints, count):
        engine = words_engine(slots=40_000, max_batch=256)
        rng, owners = random.Random(0), {}
        for number, constraint in enumerate(constraints):
            for _ in range(count):
                prompt = [rng.randrange(32, 127) for _ in range(3)]
                sampling = Sampling(max_tokens=constraint.fewest_tokens + rng.choice(ROOM))
                prefix = engine.extend(engine.root, prompt)
                order = (len(owners),)
                request = GenRequest(
                    prefix, sampling, rng.getrandbits(64), order, constraint=constraint
                )
                owners[request] = number
        texts = [[] for _ in constraints]
        for request, result in run(engine, list(owners)).items():
            assert result.finish_reason == "stop"
            assert len(result.token_ids) <= request.sampling.max_tokens
            texts[owners[request]].append(result.text)
        return texts

    return generate


@pytest.mark.slow
@pytest.mark.parametrize("as_grammar", [False, True], ids=["compiled", "grammar"])
def test_values_are_valid_under_their_schemas(constraint_of, texts_of, as_grammar) -> None:
    sources = [ConstraintSource("json_schema", text=json.dumps(case["schema"])) for case in CASES]
    made = [constraint_of(source, as_grammar=as_grammar) for source in sources]
    if as_grammar:
        assert all(isinstance(constraint, Grammar) for constraint in made)
    num_values = 0
    for case, texts in zip(CASES, texts_of(made, NUM_VALUES), strict=True):
        valid = validator(case["schema"])
        for text in texts:
            value = json.loads(text)
            assert valid.is_valid(value), (case["name"], text)
            num_values += 1
    assert 2 * num_values >= 2_000


ATOMS = ["a", "b", "ab", ".", "[a-c]", "[^a]", r"\d", "é", r"\n", "[à-ü😀]", '"', r"\\", "-"]
FORMS = ["{}*", "{}+", "{}?", "{}{{2}}", "{}{{1,3}}", "{}{{0,2}}?"]
COUNTS = [*["{}"] * 16, "{}{{7,12}}", "{}{{0,20}}"]  # of one atom


def random_regex(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(COUNTS).format(f"(?:{rng.choice(ATOMS)})")
    parts = [random_regex(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    inner = rng.choice(["", "|"]).join(parts)
    return rng.choice(["{}", "{}", *FORMS]).format(f"(?:{inner})")


@pytest.mark.slow
@pytest.mark.parametrize("as_grammar", [False, True], ids=["compiled", "grammar"])
def test_texts_match_their_regexes(constraint_of, texts_of, as_grammar) -> None:
    rng = random.Random(5)
    patterns = list(dict.fromkeys(random_regex(rng, 2) for _ in range(300)))[:200]
    assert len(patterns) == 200
    sources = [ConstraintSource("regex", text=pattern) for pattern in patterns]
    made = [constraint_of(source, as_grammar=as_grammar) for source in sources]
    for pattern, texts in zip(patterns, texts_of(made, NUM_MATCHES), strict=True):
        for text in texts:
            assert re.fullmatch(pattern, text), (pattern, text)
