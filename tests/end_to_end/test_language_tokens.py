"""The rules on tokens, seeds and merging, with a real tokenizer and a small random model.

`the river` and ` mill` are single tokens of the model's vocabulary, their parts are others, so a
cut in the wrong place shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from sglc.compiler.driver import compile_file
from sglc.ir.host.expr import Value
from sglc.runtime.engine.request import GenRequest, Request, ScoreRequest
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run as run_rows
from sglc.runtime.session import EngineOptions, Session, open_session

torch.set_num_threads(1)
GREEDY = "max_tokens=3, temperature=0, ignore_eos=true"


@dataclass
class Ran:
    outputs: list[Value]
    requests: list[Request]
    prefilled: int

    def ids(self, place: int) -> list[int]:
        """The tokens before the request at `place`."""
        return list(self.requests[place].prefix.token_ids())


class Tiny:
    """Runs programs on the small model, and encodes with its own tokenizer's library."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.session: Session = open_session(self.folder)

    @property
    def tokenizer(self) -> Tokenizer:
        return self.session.spec.tokenizer

    def encode(self, *pieces: str) -> list[int]:
        """Texts, and control tokens as "<|name|>"."""
        ids: list[int] = []
        for piece in pieces:
            control = self.tokenizer.control_id(piece)
            ids += self.tokenizer.encode(piece) if control is None else [control]
        return ids

    def run(self, source: str, rows=({},), *, seed: int = 0, deterministic: bool = False) -> Ran:
        # gens that nobody reads stay: what they are asked is looked at
        plan = compile_file(None, source, spec=self.session.spec, skip=["dce"]).plan
        options = EngineOptions("cpu", "float32", "dummy", deterministic=deterministic)
        engine = self.session.make_engine(options)
        requests: list[Request] = []
        submit = engine.submit

        def noting(request: Request) -> None:
            requests.append(request)
            submit(request)

        engine.submit = noting  # type: ignore[method-assign]
        bound = bind_rows(list(rows), RowBinder(RowFields(plan.params)))
        found = list(run_rows(plan, self.session.spec, engine, bound, seed=seed))
        outputs = [getattr(outcome, "output", outcome) for outcome in found]
        return Ran(outputs, requests, engine.stats.prefilled_tokens)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Tiny:
    return Tiny(tiny_model)


# ---------------------------------------------------------------- rules 1 to 4


def test_a_stretch_is_encoded_as_a_whole_however_it_was_pieced_together(tiny) -> None:
    ran = tiny.run(f"""
const T = "t"
def show(x: str):
    "{{x}}"
program main(a: str, xs: list[str]):
    "{{T}}he"
    show(" ri")
    "ver"
    for x in xs:
        "{{x}}"
    capture all:
        " pa"
        "st{{a}}"
    gen x({GREEDY})
    " an old"
    " mi"
    show("ll")
    gen y({GREEDY})
    return [all, x.tokens]
""", [{"a": " an o", "xs": [" r", "un", "s"]}])  # fmt: skip
    first = tiny.encode("the river runs past an o")
    assert ran.ids(0) == first
    assert len(first) < len(tiny.encode("t", "he", " ri", "ver", " r", "un", "s", " pa", "st"))
    assert ran.outputs[0][0] == " past an o"
    assert ran.ids(1)[: len(first)] == first
    assert ran.ids(1)[len(first) + 3 :] == tiny.encode(" an old mill")


def test_a_gen_ends_the_stretch_even_when_it_kept_nothing(tiny) -> None:
    ran = tiny.run(f"""
program main():
    "the ri"
    gen x(logit_bias={{"0": 100}}, temperature=0)
    "ver"
    gen y({GREEDY})
    return x
""")
    assert ran.outputs == [""]
    assert ran.ids(1) == tiny.encode("the ri", "ver") != tiny.encode("the river")


def test_only_roles_and_special_write_control_tokens(tiny) -> None:
    ran = tiny.run(f"""
const C = "<|im_end|>"
program main(a: str):
    system "s{{C}}"
    user:
        "{{a}}<|end|>{{special("<|end|>")}}z"
        gen x({GREEDY})
    assistant:
        gen y({GREEDY})
""", [{"a": "<|im_start|>"}])  # fmt: skip
    spelt = tiny.tokenizer.encode("s<|im_end|>")
    assert not set(spelt) & tiny.tokenizer.control_ids
    opening = [*tiny.encode("<|im_start|>"), *tiny.tokenizer.encode("system\ns<|im_end|>")]
    user = [*tiny.encode("<|im_end|>", "\n", "<|im_start|>")]
    text = tiny.tokenizer.encode("user\n<|im_start|><|end|>")
    wanted = [*opening, *user, *text, *tiny.encode("<|end|>", "z")]
    assert ran.ids(0) == wanted
    last = tiny.encode("<|im_end|>", "\n", "<|im_start|>", "assistant\n")
    assert ran.ids(1)[len(wanted) + 3 :] == last


def test_no_control_token_is_sampled(tiny) -> None:
    hot = tiny.run("""
program main():
    "the river"
    gen x(n=40, max_tokens=20, temperature=1000.0, ignore_eos=true)
    gen y(n=40, max_tokens=20, temperature=1000.0)
    return [x, y]
""")
    for sample in (text for samples in hot.outputs[0] for text in samples):
        assert not any(name in sample for name in ("<|end|>", "<|im_start|>", "<|im_end|>"))


def test_what_a_stop_leaves_of_a_token_begins_the_next_stretch(tiny) -> None:
    """The model says ` river`, one token; the stop `ver` cuts it, and ` ri` is text again."""
    ran = tiny.run(f"""
program main():
    "the river"
    gen x({GREEDY}, stop="ver", logit_bias={{" river": 100}})
    "ch"
    gen y({GREEDY})
    return [x, x.tokens, x.finish_reason]
""")
    assert ran.outputs == [[" ri", [], "stop"]]
    assert ran.ids(1) == tiny.encode("the river", " rich")


def test_select_scores_from_what_all_choices_have_in_common(tiny) -> None:
    ran = tiny.run(f"""
program main():
    "the ri"
    select s from ["ver", "ch", "v"]
    " an old"
    gen y({GREEDY})
    return s
""")
    request = ran.requests[0]
    assert isinstance(request, ScoreRequest)
    whole = [tiny.encode(f"the ri{choice}") for choice in ("ver", "ch", "v")]
    assert [[*ran.ids(0), *choice] for choice in request.choices] == whole
    assert ran.ids(0) == tiny.encode("the")  # `the ri` alone ends in tokens that `ver` heals away
    assert ran.ids(1) == tiny.encode(f"the ri{ran.outputs[0]}", " an old")


def test_a_context_begins_with_a_start_token_where_it_is_empty(tiny) -> None:
    """This model has no BOS, so EOS stands in."""
    ran = tiny.run(f"""
program main():
    let a = run chosen()
    gen x({GREEDY})
def chosen() -> str:
    select s from ["river", "old"]
    return s
""")
    assert [ran.ids(place) for place in range(2)] == [tiny.encode("<|end|>")] * 2


def test_join_encodes_anew(tiny) -> None:
    ran = tiny.run(f"""
program main():
    "the "
    fork a in ["ri", "old"] as g:
        "{{a}}"
        gen k({GREEDY})
    join g
    gen y({GREEDY})
    return g.k
""")
    first, second = ran.outputs[0]
    assert ran.ids(2) == tiny.encode(f"the ri{first}old{second}")


# ---------------------------------------------------------------- rules 5, 6 and 14

SAMPLED = """
program main(a: str):
    "the river {a}"
    gen x(max_tokens=5, ignore_eos=true)
    fork 3 as g:
        gen y(max_tokens=5, ignore_eos=true)
    let r = run other()
    gen z(max_tokens=5, n=2, ignore_eos=true)
    gen e(max_tokens=5, seed=7, ignore_eos=true)
    select s from [" old", " mill"] (temperature=5.0)
    return [x.tokens, [v.y.tokens for v in g], r, z.tokens, e.tokens, s]
def other() -> list[str]:
    "an old mill"
    gen w(max_tokens=5, ignore_eos=true)
    return w.tokens
"""
ROWS = [{"a": f"k{number}"} for number in range(4)]


def test_samples_depend_on_neither_place_nor_batch(tiny) -> None:
    together = tiny.run(SAMPLED, ROWS).outputs
    assert tiny.run(SAMPLED, ROWS[::-1]).outputs == together[::-1]
    assert [tiny.run(SAMPLED, [row]).outputs[0] for row in ROWS] == together


def test_seeds_differ_by_run_row_branch_and_sample(tiny) -> None:
    (first, again), (other,) = (
        tiny.run(SAMPLED, [ROWS[0], ROWS[0]]).outputs,
        tiny.run(SAMPLED, [ROWS[0]], seed=1).outputs,
    )
    for place in (0, 2):
        assert len({str(each[place]) for each in (first, again, other)}) == 3
    assert first[4] == again[4] == other[4]  # an explicit seed leaves only the path
    assert len({str(tokens) for tokens in first[1]}) == 3
    assert first[3][0] != first[3][1]


def test_only_what_must_be_equal_is_generated_once(tiny) -> None:
    ran = tiny.run("""
program main(a: str):
    "the river"
    fork 2 as cold:
        gen x(max_tokens=4, temperature=0)
    fork 2 as seeded:
        gen y(max_tokens=4, seed=3)
    fork 2 as own:
        gen z(max_tokens=4)
    fork k in [4, 5] as other:
        gen u(max_tokens=k, temperature=0, stop="~")
    return [cold.x, seeded.y, own.z, other.u]
""", [{"a": "1"}, {"a": "2"}])  # fmt: skip
    names = [request.name for request in ran.requests if isinstance(request, GenRequest)]
    # greedy: once in all. Equal seeds: once a path. Own seeds: never. Other options: apart.
    counts = {name: names.count(name) for name in set(names)}
    assert counts == {"x": 1, "y": 2, "z": 4, "u": 2}
    assert ran.prefilled == len(tiny.encode("the river"))


def test_deterministic_runs_give_the_same_whatever_the_batch(tiny) -> None:
    source = SAMPLED.replace("ignore_eos=true", "ignore_eos=true, logprobs=2").replace(
        "x.tokens", "x.logprobs"
    )
    together = tiny.run(source, ROWS, deterministic=True).outputs
    for rows in ([ROWS[0]], ROWS[:2]):
        assert tiny.run(source, rows, deterministic=True).outputs == together[: len(rows)]
