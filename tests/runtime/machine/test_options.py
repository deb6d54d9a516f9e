"""Options of gen: values of every kind become a Sampling or a sentence."""

from __future__ import annotations

import pytest

from sglc.runtime.engine.request import Sampling
from sglc.runtime.machine.options import GenOptions, gen_options, temperature_of
from sglc.runtime.row import RowFailure


def test_nothing_given_is_the_language_default(tokenizer):
    assert gen_options({}, tokenizer) == GenOptions(Sampling())
    assert gen_options({"stop": None, "seed": None}, tokenizer) == GenOptions(Sampling())


def test_all_options(tokenizer):
    values = {
        "max_tokens": 5,
        "min_tokens": 2,
        "stop": ["a", "b", "a"],
        "stop_token_ids": [7, 8],
        "stop_regex": r"\d+",
        "temperature": 1,
        "top_p": 0.5,
        "top_k": -1,
        "min_p": 0.1,
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "repetition_penalty": 1.1,
        "logit_bias": {"abc": 3, "65": -100},
        "ignore_eos": True,
        "logprobs": 0,
        "seed": -5,
        "n": 3,
    }
    (abc,) = tokenizer.encode("abc")
    expected = Sampling(
        max_tokens=5,
        min_tokens=2,
        stop=("a", "b"),
        stop_token_ids=(7, 8),
        stop_regex=(r"\d+",),
        temperature=1.0,
        top_p=0.5,
        top_k=0,
        min_p=0.1,
        frequency_penalty=-2.0,
        presence_penalty=2.0,
        repetition_penalty=1.1,
        logit_bias=((65, -100.0), (abc, 3.0)),
        ignore_eos=True,
        logprobs=0,
        allows_thinking=True,
    )
    options = gen_options(values, tokenizer, allows_thinking=True)
    assert options == GenOptions(expected, seed=-5, num_samples=3)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_tokens", True, "max_tokens is true, expected an int of at least 1"),
        ("n", 0, "n is 0, expected an int of 1..1024"),
        ("seed", "x", "seed is x, expected an int"),
        ("repetition_penalty", 0, "repetition_penalty is 0, expected a number above 0"),
        ("ignore_eos", 1, "ignore_eos is 1, expected true or false"),
        ("stop", ["a", 1], "stop is 1, expected a text that is not empty, or a list of such"),
        ("stop_token_ids", [-1], "stop_token_ids is -1, expected an int of 0..275"),
        ("logit_bias", [1], "logit_bias is [1], expected a dict from token to bias"),
        ("logit_bias", {"99999": 1}, "logit_bias: there is no token 99999; the model has 276"),
        ("logprobs", 101, "logprobs is 101, expected an int of 0..100"),
        ("beams", 4, "`beams` is not an option of gen"),
    ],
)
def test_bad_values(tokenizer, name, value, said):
    with pytest.raises(RowFailure) as caught:
        gen_options({name: value}, tokenizer)
    assert (caught.value.code, caught.value.message) == ("bad_option", said)


def test_the_temperature_of_a_select():
    assert temperature_of(None) == 0.0
    assert temperature_of(2) == 2.0
    with pytest.raises(RowFailure):
        temperature_of(-0.1)
