"""The built-in functions: what each yields, and the ties and edges that are easy to get wrong."""

from __future__ import annotations

import pytest

from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.functions import FUNCTIONS, SIGNATURES
from sglc.ir.toy import ToyTokenizer

ENV = HostEnv(ToyTokenizer())


def call(name: str, *args: Value, **kwargs: Value) -> Value:
    return FUNCTIONS[name](ENV, *args, **kwargs)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("len", ("héé",), 3),
        ("len", ({"a": 1},), 1),
        ("str", (1.0,), "1.0"),
        ("str", ([True, None, "a"],), '[true,null,"a"]'),
        ("int", (" -12 ",), -12),
        ("int", (-2.9,), -2),
        ("int", (True,), 1),
        ("float", ("1e3",), 1000.0),
        ("float", (2,), 2.0),
        ("bool", ("false",), True),
        ("bool", ([],), False),
        ("range", (3,), [0, 1, 2]),
        ("range", (1, 3), [1, 2]),
        ("range", (5, 0, -2), [5, 3, 1]),
        ("range", (0, 5, -1), []),
        ("zip", ([1, 2, 3], "ab"), [[1, "a"], [2, "b"]]),
        ("zip", (), []),
        ("enumerate", (["a", "b"],), [[0, "a"], [1, "b"]]),
        ("enumerate", (["a"], 5), [[5, "a"]]),
        ("min", ([3, 1, 2],), 1),
        ("min", (3, 1, 2), 1),
        ("max", (["b", "a"],), "b"),
        ("sum", ([1, 2.5, True],), 4.5),
        ("sum", ([],), 0),
        ("sorted", ([3, 1, 2], True), [3, 2, 1]),
        ("sorted", ([[2, "a"], [1, "b"]],), [[1, "b"], [2, "a"]]),
        ("reversed", ([1, 2],), [2, 1]),
        ("any", ([0, "", None],), False),
        ("all", ([],), True),
        ("join", (["a", 1, None], ", "), "a, 1, null"),
        ("join", (["a", "b"],), "ab"),
        ("split", (" a  b ",), ["a", "b"]),
        ("split", ("a,b,c", ","), ["a", "b", "c"]),
        ("split", ("a,b,c", ",", 1), ["a", "b,c"]),
        ("strip", ("  a ",), "a"),
        ("strip", ("xax", "x"), "a"),
        ("lower", ("ÀB",), "àb"),
        ("upper", ("ß",), "SS"),
        ("replace", ("aXbX", "X", ""), "ab"),
        ("startswith", ("abc", "ab"), True),
        ("endswith", ("abc", "ab"), False),
        ("find", (r"####\s*(-?[0-9,.]+)", "so\n#### 1,234"), "1,234"),
        ("find", ("b+", "abbc"), "bb"),
        ("find", ("(x)?b", "ab"), None),
        ("find", ("z", "ab"), None),
        ("match", (r"(\w+)=(\d+)?", "key=7 rest"), ["key", "7"]),
        ("match", (r"(\w+)=(\d+)?", "key="), ["key", None]),
        ("match", ("k.", "key"), ["ke"]),
        ("match", ("e", "key"), None),
        ("json", ("a\n",), '"a\\n"'),
        ("json", ({"b": 1, "a": [1.5]},), '{"b":1,"a":[1.5]}'),
        ("parse_json", (' {"a": [1, 2.0, "é", null]} ',), {"a": [1, 2.0, "é", None]}),
        ("parse_json", (r'"\ud83d\ude00"',), "😀"),
        ("majority", (["b", "a", "a", "b", "c"],), "b"),
        ("majority", ([[1], [2], [2]],), [2]),
        ("argmax", ([1, 3, 3],), 1),
        ("first", ("abc",), "a"),
        ("last", ([1, 2],), 2),
        ("unique", ([2, 1, 2.0, {"a": 1}, {"a": 1.0}],), [2, 1, {"a": 1}]),
        ("truncate", ("héllo", 2), "hé"),
        ("truncate", ("héllo", 0), ""),
        ("truncate", ("héllo", 9), "héllo"),
        ("tokens", ("héllo",), 5),
    ],
)
def test_values(name: str, args: tuple[Value, ...], expected: Value) -> None:
    found = call(name, *args)
    assert found == expected and type(found) is type(expected)


def test_arguments_may_be_named() -> None:
    assert call("split", "a b", max=1) == ["a", "b"]
    assert call("sorted", items=[1, 2], reverse=True) == [2, 1]


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("int", ("1.5",), "`1.5` is not an integer"),
        ("int", ("٣",), "`٣` is not an integer"),
        ("int", ("9" * 5000,), "an integer of 5000 digits"),
        ("int", ([],), "cannot make an int of a list"),
        ("float", ("nan",), "`nan` is not a number"),
        ("float", ("1e999",), "a number beyond what a float can hold"),
        ("min", ([],), "`min` of an empty list"),
        ("max", (["a", 1],), "a str and an int have no order"),
        ("majority", ([],), "`majority` of an empty list"),
        ("first", ("",), "`first` of an empty list"),
        ("sum", (["a"],), "`sum` adds numbers, not a str"),
        ("split", ("a", ""), "`split` at an empty separator"),
        ("find", ("(", "a"), None),
        ("upper", (1,), "`upper` takes a str, not an int"),
        ("zip", (1,), "cannot go through an int"),
        ("parse_json", ("NaN",), "not JSON: `NaN` is not a JSON number"),
        ("parse_json", ("[1e999]",), "the number 1e999 is beyond a float"),
        ("parse_json", (r'"\ud800"',), "JSON with half of a surrogate pair"),
        ("parse_json", ("[" * 100_000,), "JSON nested too deeply"),
        ("parse_json", ("9" * 5000,), "JSON with an integer of too many digits"),
        ("parse_json", ("{a}",), None),
        ("range", (0, 1, 0), "the step of `range` is 0"),
        ("truncate", ("a", -1), "`truncate` to a negative number of tokens"),
        ("min", (), "`min` needs an argument"),
        ("upper", (), "`upper` needs its argument `text`"),
    ],
)
def test_failures(name: str, args: tuple[Value, ...], message: str | None) -> None:
    with pytest.raises(HostError) as caught:
        call(name, *args)
    if message is not None:
        assert str(caught.value) == message


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(HostError, match=r"has no argument `sep`"):
        call("split", "a", sep=",")
    with pytest.raises(HostError, match="got `text` twice"):
        call("split", "a", text="b")
    with pytest.raises(HostError, match="takes no argument by name"):
        call("max", values=1)


def test_tokens_without_a_tokenizer_fail() -> None:
    with pytest.raises(HostError) as caught:
        FUNCTIONS["tokens"](HostEnv(), "a")
    assert caught.value.code == "unsupported"


def test_each_function_has_a_signature_and_a_line() -> None:
    assert FUNCTIONS.keys() == SIGNATURES.keys()
    assert all(signature.doc and signature.params for signature in SIGNATURES.values())
    assert str(SIGNATURES["split"]) == "(text, separator=null, max=-1)"
    assert str(SIGNATURES["zip"]) == "(*items)"


class Merging:
    """A tokenizer that joins two letters where it can, so a cut changes what stands before it."""

    def encode(self, text: str) -> list[int]:
        return [len(text[i : i + 2]) for i in range(0, len(text), 2)]

    def decode(self, ids: list[int]) -> str:
        return "abcdefgh"[: sum(ids)]


def test_truncate_yields_a_start_of_the_text() -> None:
    found = FUNCTIONS["truncate"](HostEnv(Merging()), "abcxyz", 2)
    assert found == "abc"
