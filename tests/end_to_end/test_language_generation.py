"""gen, select, capture, reasoning, defaults and roles: what is asked, and what is bound."""

from __future__ import annotations

import pytest

from sglc.runtime.engine.request import Sampling


def test_gens_append_and_bind(tell) -> None:
    source = """
    "a"
    gen x
    "b"
    gen
    gen(max_tokens=3)
    gen y: str (stop=["!", "?"])
    return [x, y, len(x)]
    """
    told = tell(source, answers={"x": "one", "": "none", "y": "two? three"})
    assert told.outputs == [["one", "two", 3]]
    assert told.asked[-1] == ("y", "aonebnonenone")


def test_options_reach_the_engine(tell) -> None:
    source = """
    program main(cold: float, stops: list[str]):
        "a"
        gen plain
        gen all(max_tokens=9, min_tokens=2, stop=stops, stop_token_ids=[3], stop_regex=r"a+",
                temperature=cold, top_p=0.9, top_k=5, min_p=0.1, frequency_penalty=0.5,
                presence_penalty=-0.5, repetition_penalty=1.1, logit_bias={"b": 1.5, "97": -2},
                ignore_eos=true, logprobs=2)
        gen seeded(seed=4)
    """
    told = tell(source, [{"cold": 1, "stops": ["x", "y"]}])
    assert told.sampling("plain") == [Sampling(max_tokens=128, temperature=1.0)]
    assert told.sampling("all") == [
        Sampling(
            max_tokens=9,
            min_tokens=2,
            stop=("x", "y"),
            stop_token_ids=(3,),
            stop_regex=("a+",),
            temperature=1.0,
            top_p=0.9,
            top_k=5,
            min_p=0.1,
            frequency_penalty=0.5,
            presence_penalty=-0.5,
            repetition_penalty=1.1,
            logit_bias=((97, -2.0), (98, 1.5)),
            ignore_eos=True,
            logprobs=2,
        )
    ]


def test_defaults_hold_for_the_block_and_its_calls_whose_own_win(tell) -> None:
    source = """
    def f():
        gen in_f
        defaults max_tokens=3
        gen in_f_later
        return 1
    program main():
        "s"
        gen before
        defaults temperature=0, max_tokens=7
        f()
        if 1 < 2:
            defaults max_tokens=9
            gen in_block
        gen after(temperature=0.5)
        let r = run f()
    """
    told = tell(source)
    found = {r.name: (r.sampling.max_tokens, r.sampling.temperature) for r in told.requests}
    assert found == {
        "before": (128, 1.0),
        "in_f": (7, 0.0),
        "in_f_later": (3, 0.0),
        "in_block": (9, 0.0),
        "after": (7, 0.5),
    }


def test_samples_bind_a_list_and_append_the_first(tell) -> None:
    source = """
    const K = 3
    program main():
        "a"
        gen x(n=K, logprobs=1)
        "b"
        gen y
        return [x, x.finish_reason, x.tokens[1], [len(of) for of in x.logprobs]]
    """
    told = tell(source, answers={"x": lambda question: f"s{question.sample}"})
    assert told.outputs == [[["s0", "s1", "s2"], ["stop"] * 3, ["s", "1"], [2, 2, 2]]]
    assert told.prompts("y") == ["as0b"]


def test_what_can_be_read_of_a_gen_and_a_select(tell, refuse) -> None:
    source = """
    "a"
    gen x(logprobs=1)
    select s from ["p", "q"] (method="sum_logprob")
    return [x.finish_reason, x.tokens, x.logprobs, s, s.index, s.scores]
    """
    one = {"token": "h", "logprob": 0.0, "top": [{"token": "h", "logprob": 0.0}]}
    assert tell(source, answers={"x": "h", "s": "q"}).outputs == [
        ["stop", ["h"], [one], "q", 1, [-1.0, 0.0]]
    ]
    assert refuse('"a"\ngen x\nreturn x.logprobs\n') == ["E0213"]
    assert refuse('"a"\ngen x\nx = "b"\nreturn x.tokens\n') == ["E0213"]
    assert refuse('let x = "a"\nreturn x.tokens\n') == ["E0213"]


def test_select_takes_choices_from_anywhere(tell) -> None:
    source = """
    program main(choices: list[str]):
        "a"
        select x from [c + "!" for c in choices]
        "b"
        gen y
        return x
    """
    rows = [{"choices": c} for c in (["p", "q"], ["only"], [], ["a", "a"])]
    told = tell(source, rows, {"x": lambda question: question.choices[-1]})
    assert told.outputs[:2] == ["q!", "only!"]
    assert [output.split(":")[0] for output in told.outputs[2:]] == ["bad_choices"] * 2
    assert told.prompts("y") == ["aq!b", "aonly!b"]


def test_capture_takes_the_text_and_no_markup(tell) -> None:
    source = """
    program main(xs: list[str]):
        capture all:
            user:
                for x in xs:
                    "{x},"
                    if x == "b":
                        break
            assistant:
                gen y
                select z from ["!", "?"]
        return all
    """
    assert tell(source, [{"xs": ["a", "b", "c"]}]).outputs == ["a,b,X!"]


def test_reasoning_separates_thinking_from_the_answer(tell) -> None:
    source = """
    user "q"
    assistant:
        reasoning thoughts:
            gen answer
    return [thoughts, answer]
    """
    assert tell(source, answers={"answer": "<think>hm</think>yes"}).outputs == [["hm", "yes"]]


START = "<|im_start|>"
END = "<|im_end|>\n"


def test_roles_put_the_template_around_what_they_append(tell) -> None:
    source = """
    program main(text: str):
        "before"
        system "s"
        user:
            "{text}"
            gen x
        assistant:
            gen y
        tool "t"
        assistant: gen z
    """
    told = tell(source, [{"text": "<|im_end|>\n"}])
    user = f"before{START}system\ns{END}{START}user\n<|im_end|>\n"
    assistant = f"{user}X{END}{START}assistant\n"
    assert told.prompts("x") == [user]
    assert told.prompts("y") == [assistant]
    assert told.prompts("z") == [f"{assistant}X{END}{START}tool\nt{END}{START}assistant\n"]


def test_leaving_a_role_closes_it(tell) -> None:
    source = """
    def ask(x: str) -> str:
        user:
            "{x}"
            if x == "r":
                return "left"
            "."
        return "ended"
    program main(xs: list[str]):
        let ways = []
        for x in xs:
            let way = ask(x)
            ways = ways + [way]
            assistant:
                if x == "b":
                    break
                "-"
        assistant:
            gen y
        return ways
    """
    told = tell(source, [{"xs": ["r", "b", "never"]}])
    assert told.outputs == [["left", "ended"]]
    assert told.prompts("y") == [
        f"{START}user\nr{END}{START}assistant\n-{END}{START}user\nb.{END}{START}assistant\n{END}"
        f"{START}assistant\n"
    ]


ROLE_ERRORS = {
    "a role in a role": ('user:\n    assistant "a"\n', "E0401"),
    "text after a role": ('user "a"\n"b"\n', "E0402"),
    "a gen after a role": ('user "a"\ngen x\n', "E0402"),
    "a role in a branch in a role": ('user:\n    fork 2 as g:\n        tool "a"\n', "E0401"),
    "text after a role on one path": ('if 1 < 2:\n    user "a"\n"b"\n', "E0402"),
    "text before a role, a round later": ('for i in range(2):\n    "a"\n    user "b"\n', "E0402"),
    "a join in another role": ('user:\n    fork 2 as g:\n        "a"\njoin g\n', "E0411"),
}


@pytest.mark.parametrize("what", ROLE_ERRORS)
def test_roles_are_checked(refuse, what: str) -> None:
    body, code = ROLE_ERRORS[what]
    assert refuse(body) == [code]


def test_roles_are_checked_across_calls(refuse, tell) -> None:
    fragment = 'def f():\n    user "a"\n'
    assert refuse(f"{fragment}program main():\n    tool:\n        f()\n") == ["E0401"]
    plain = 'def f():\n    "a"\n'
    assert refuse(f'{plain}program main():\n    user "b"\n    f()\n') == ["E0402"]
    both = f"{plain}program main():\n    f()\n    user:\n        f()\n        gen x\n"
    assert tell(both).prompts("x") == [f"a{START}user\na"]
    fresh = f"{fragment}    return 1\nprogram main():\n    tool:\n        let r = run f()\n"
    assert tell(fresh).outputs == [{"r": 1}]
    # nothing calls it, and it is wrong wherever it would be called
    assert refuse(f'{fragment}    "b"\nprogram main():\n    pass\n') == ["E0402"]


OPTION_ERRORS = [
    ("foo=1", "E0601"),
    ("max_tokens=3, max_tokens=4", "E0602"),
    ('max_tokens="a"', "E0603"),
    ("max_tokens=0", "E0603"),
    ("temperature=-1", "E0603"),
    ("top_p=0", "E0603"),
    ("n=0", "E0603"),
    ('stop=""', "E0603"),
    ("logprobs=1000", "E0603"),
    ("min_tokens=9, max_tokens=5", "E0603"),
    ('logit_bias={"a": "b"}', "E0603"),
    ('regex=r"a+", choices=["a"]', "E0604"),
    ('stop="a", regex=r"a"', "E0605"),
    ('regex=r"("', "E0606"),
    ('stop_regex=["a", "["]', "E0606"),
    ("n=len(text)", "E0610"),
    ('json_schema={"not": {}}', "E0613"),
    ("ebnf='root ::= \"a\" root'", "E0614"),
]


@pytest.mark.parametrize(("options", "code"), OPTION_ERRORS)
def test_wrong_options(refuse, options: str, code: str) -> None:
    source = f'program main(text: str):\n    "{{text}}"\n    gen x({options})\n'
    assert refuse(source) == [code]


ROW_OPTIONS = [
    ("max_tokens", "int", 0),
    ("temperature", "float", -1),
    ("top_p", "float", 2),
    ("stop", "str", ""),
    ("stop_regex", "list[str]", ["a", "["]),
    ("logprobs", "int", 5000),
    ("min_tokens", "int", 200),
    ("stop_token_ids", "list[int]", [10**6]),
    ("logit_bias", "json", {"ab": 1}),
]


@pytest.mark.parametrize(("name", "type", "value"), ROW_OPTIONS)
def test_a_wrong_option_of_a_row_fails_the_row(tell, name: str, type: str, value: object) -> None:
    source = f'program main(v: {type}):\n    "a"\n    gen x({name}=v)\n'
    (output,) = tell(source, [{"v": value}]).outputs
    assert output.startswith("bad_option: ")


SELECT_ERRORS = [
    ("[]", "E0609"),
    ('["a", "a"]', "E0609"),
    ('["a", ""]', "E0609"),
    ('"ab"', "E0301"),
    ("[1, 2]", "E0301"),
    ('["a"] (method="best")', "E0612"),
    ('["a"] (temperature=-1)', "E0603"),
    ('["a"] (max_tokens=1)', "E0601"),
]


@pytest.mark.parametrize(("choices", "code"), SELECT_ERRORS)
def test_wrong_selects(refuse, choices: str, code: str) -> None:
    assert refuse(f'"a"\nselect x from {choices}\n') == [code]
