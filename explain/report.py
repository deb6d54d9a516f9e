"""All that `sglc explain` tells, from the plan, and from a batch and a profile where there are
any: as text, as JSON, and as the data of a page.

Law: the three say the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from sglc.codegen.plan import Plan
from sglc.compiler import report as plan_report
from sglc.explain.batch import batch_as_json, batch_blocks, binned, row_kv_as_json, row_kv_line
from sglc.explain.build import dataflow
from sglc.explain.compare import Comparison, compare, comparison_lines
from sglc.explain.dataflow import Dataflow, last_needs
from sglc.explain.drawing import MOST_NODES, drawing
from sglc.explain.outline import outline
from sglc.explain.repeats import fold_repeats
from sglc.explain.tables import listings, tables, tiles
from sglc.runtime.planner.facts import BatchFacts, RowKV
from sglc.runtime.profile import Profile

FORMAT = 1  # of the JSON


@dataclass(frozen=True)
class Report:
    """`row_kv` is None where the model's tokenizer is not at hand, `batch` where there are no rows,
    `profile` where no run was recorded."""

    plan: Plan
    row_kv: RowKV | None = None
    batch: BatchFacts | None = None
    profile: Profile | None = None

    @cached_property
    def flow(self) -> Dataflow:
        return dataflow(self.plan)

    @cached_property
    def compared(self) -> tuple[Comparison, ...]:
        """Predicted against actual."""
        if self.batch is None or self.profile is None:
            return ()
        return compare(self.batch, self.profile)

    def text(self) -> str:
        """For people, in a terminal."""
        blocks = [("dataflow", outline(fold_repeats(self.flow)))]
        if self.row_kv is not None:
            blocks.append(("KV of one row at its peak, in tokens", [row_kv_line(self.row_kv)]))
        if self.batch is not None:
            blocks += batch_blocks(self.batch)
        if self.compared:
            blocks.append(("predicted against actual", comparison_lines(self.compared)))
        return plan_report.explain(self.plan, blocks)

    def as_json(self) -> dict[str, Any]:
        """Everything, as data. `schema.json` beside this file says of what form."""
        needs = last_needs(self.flow)
        nodes = [asdict(node) | {"kv_until": needs.get(node.id)} for node in self.flow.nodes]
        return {
            "format": FORMAT,
            **plan_report.explain_json(self.plan),
            "dataflow": {"nodes": nodes, "edges": [asdict(edge) for edge in self.flow.edges]},
            "row_kv": None if self.row_kv is None else row_kv_as_json(self.row_kv),
            "batch": None if self.batch is None else batch_as_json(self.batch),
            "compared": [asdict(each) | {"ratio": each.ratio} for each in self.compared] or None,
        }

    def page_data(self) -> dict[str, Any]:
        """What the page shows, places of the graph's nodes included."""
        plan = plan_report.explain_json(self.plan)
        folded = fold_repeats(self.flow)
        is_same = len(folded.nodes) == len(self.flow.nodes)
        is_small = len(self.flow.nodes) <= MOST_NODES
        batch = None if self.batch is None else batch_as_json(self.batch)
        return {
            "plan": {
                key: plan[key] for key in ("program", "signature", "doc", "model", "compiler")
            },
            "graph": {
                "folded": drawing(folded),
                "full": drawing(self.flow) if is_small and not is_same else None,
            },
            "batch": batch and {"trie": batch["trie"], "steps": binned(batch["steps"])},
            "tiles": tiles(plan, self.flow, self.row_kv, self.batch, self.compared),
            "tables": tables(plan, self.batch, self.compared),
            "listings": listings(plan),
        }
