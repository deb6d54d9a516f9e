"""The pipeline around the passes: skipping, watching, and what is said of a pass that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

import sglc.passes as passes
from sglc.ir import ops
from sglc.ir.module import Module
from sglc.ir.text import parse_module
from sglc.passes import PIPELINE, Pass, PassError, run_pipeline

MODULE = parse_module("""
program main(%0: str) -> str {
  %1: ctx = start
  %2: ctx = append %1, %0
  leave %2, %0
}
""")


def test_each_pass_is_seen_in_order() -> None:
    seen: list[str] = []
    run_pipeline(MODULE, on_pass=lambda each, module: seen.append(each.name))
    assert seen == [each.name for each in PIPELINE]


def test_an_optimization_can_be_skipped() -> None:
    seen: list[str] = []
    run_pipeline(MODULE, skip=["dce", "fold"], on_pass=lambda each, _: seen.append(each.name))
    assert seen == [each.name for each in PIPELINE if each.name not in ("dce", "fold")]


@pytest.mark.parametrize("name", ["inline", "dse"])
def test_what_is_required_or_unknown_cannot_be_skipped(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` is no pass that can be skipped"):
        run_pipeline(MODULE, skip=[name])


def test_a_pass_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: Module) -> Module:
        raise KeyError("x")

    monkeypatch.setattr(passes, "PIPELINE", (Pass("broken", broken),))
    with pytest.raises(PassError, match=r"^in pass broken: KeyError: 'x'$") as caught:
        run_pipeline(MODULE)
    assert caught.value.before == MODULE


def test_a_pass_that_breaks_the_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(module: Module) -> Module:
        body = replace(module.program.body, ops=module.program.body.ops[1:])
        return replace(module, program=replace(module.program, body=body))

    monkeypatch.setattr(passes, "PIPELINE", (Pass("lossy", lossy),))
    with pytest.raises(PassError) as caught:
        run_pipeline(MODULE)
    assert str(caught.value) == (
        "in pass lossy: IRError: in main: %1 is not visible in `%2: ctx = append %1, %0`"
    )


def test_the_first_pass_that_breaks_the_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(module: Module) -> Module:
        body = replace(module.program.body, ops=module.program.body.ops[1:])
        return replace(module, program=replace(module.program, body=body))

    def strict(module: Module) -> Module:
        if not isinstance(module.program.body.ops[0], ops.Start):
            raise KeyError("no start")
        return module

    pipeline = (Pass("strict", strict), Pass("lossy", lossy), Pass("last", strict))
    monkeypatch.setattr(passes, "PIPELINE", pipeline)
    with pytest.raises(PassError) as caught:
        run_pipeline(MODULE)
    assert caught.value.name == "lossy"


def test_names_are_unique() -> None:
    names = [each.name for each in PIPELINE]
    assert len(set(names)) == len(names)
    assert all(isinstance(each.run(MODULE).program.body.end, ops.Leave) for each in PIPELINE)
