"""The pipeline: what is done to a module between lowering and emission, in order.

Law: each pass takes a well-formed module and yields one of the same meaning; `run_pipeline`
verifies what comes out at the end, and names the pass that broke it. Optimizations can be skipped
by name, and results do not change when they are. What they did stands in `Module.notes`
(`noting.py`), for `explain`.
Analyses (`stages.py`, `lengths.py`, `demand.py`, `repeatable.py`, `inlined_size.py`,
`first_roles.py`) are functions from IR to facts; who needs facts calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sglc.ir.module import Module
from sglc.ir.verify import verify
from sglc.passes.cse import cse
from sglc.passes.dce import dce
from sglc.passes.fold import fold
from sglc.passes.hoist import hoist
from sglc.passes.inline import inline
from sglc.passes.merge_appends import merge_appends
from sglc.passes.simplify_scopes import simplify_scopes
from sglc.passes.unroll import unroll


@dataclass(frozen=True, slots=True)
class Pass:
    """A transformation by its name. One that is no optimization is required: never skipped."""

    name: str
    run: Callable[[Module], Module]
    is_optimization: bool = True


PIPELINE: tuple[Pass, ...] = (
    # all that follows sees one function and no calls
    Pass("inline", inline, is_optimization=False),
    # constants reach the lists of loops and the conditions of ifs
    Pass("fold", fold),
    # rounds become code in place; folds what each round makes known
    Pass("unroll", unroll),
    # known ifs are gone, so many bodies no longer leave early
    Pass("simplify_scopes", simplify_scopes),
    # what each round makes known is in place; what is left of bodies is the same in all rounds
    Pass("hoist", hoist),
    # what came out of two bodies may be one; chains still stand as they were written
    Pass("cse", cse),
    # chains are as long now as they will get
    Pass("merge_appends", merge_appends),
    # the constants and texts that went into others are left over
    Pass("dce", dce),
)


# what the runtime does unless it is skipped by this name, as a pass is: rows share the results of
# equal deterministic gens, selects and pure externs
REUSE = "reuse"
OPTIONAL = (*(each.name for each in PIPELINE if each.is_optimization), REUSE)


class PassError(Exception):
    """A pass failed or broke the IR: a bug of ours. `before` is the module that it was given."""

    def __init__(self, name: str, before: Module, cause: Exception) -> None:
        super().__init__(f"in pass {name}: {type(cause).__name__}: {cause}")
        self.name = name
        self.before = before


def run_pipeline(
    module: Module,
    *,
    skip: Collection[str] = (),
    on_pass: Callable[[Pass, Module], None] | None = None,
) -> Module:
    """The module after all passes but those named in `skip`.

    `on_pass` sees each pass that ran with the module it left. Raises ValueError for a name in
    `skip` that is no optimization's, PassError when a pass fails or breaks the module.
    """
    for name in skip:
        if name not in OPTIONAL:
            raise ValueError(
                f"`{name}` is no pass that can be skipped; those are {', '.join(OPTIONAL)}"
            )
    wanted = [each for each in PIPELINE if each.name not in skip]
    after = module
    try:
        for each in wanted:
            after = each.run(after)
            if on_pass is not None:
                on_pass(each, after)
        verify(after)
    except Exception:
        # one that breaks the module may make another one fail: find the first
        _run_verified(module, wanted)
        raise
    return after


def _run_verified(module: Module, wanted: Iterable[Pass]) -> None:
    """Run the passes with a check after each; raises PassError for the first that fails it."""
    for each in wanted:
        try:
            after = each.run(module)
            verify(after)
        except Exception as error:
            raise PassError(each.name, module, error) from error
        module = after
