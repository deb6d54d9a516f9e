"""What a batch will do, from a plan, its model's files and the rows in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sglc.codegen.plan import Plan
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.load import load_config, load_spec
from sglc.runtime.model.locate import ModelFiles, locate
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.planner.facts import BatchFacts, RowKV
from sglc.runtime.rows.bind import RowBinder, RowFields
from sglc.runtime.rows.row_file import RowFile
from sglc.runtime.session import EngineOptions, check_model


def rehearse(
    plan: Plan,
    spec: ModelSpec,
    files: ModelFiles,
    inputs: str,
    options: EngineOptions,
    *,
    limit: int | None = None,
    externs: Mapping[str, Callable[..., Any]] | None = None,
) -> BatchFacts:
    """The facts of the first `limit` rows of the file `inputs`, run as `options` say. The device is
    measured the first time. Raises InputError, ModelError."""
    from sglc.runtime.models.device import resolve_device, resolve_dtype
    from sglc.runtime.planner.batch import plan_batch
    from sglc.runtime.planner.costs import calibration

    rows = RowFile(inputs, RowBinder(RowFields(plan.params)), limit=limit)
    place = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, place)
    return plan_batch(
        plan,
        spec,
        load_config(files),
        (row.row for row in rows),
        kv_memory=options.kv_memory,
        element_size=dtype.itemsize,
        device=place.type,
        externs=externs,
        calibration=calibration(place.type, str(dtype).removeprefix("torch.")),
    )


def row_kv_if_known(plan: Plan, spec: ModelSpec | None = None) -> RowKV | None:
    """The KV of one row as a formula. Its constants are counted in tokens: without `spec`, None
    unless the plan's model lies on this machine."""
    from sglc.runtime.planner.row_kv import row_kv

    if spec is None:
        try:
            spec = load_spec(locate(plan.model.reference, fetch=False))
            check_model(plan, spec)
        except ModelError:
            return None
    return row_kv(plan, spec.tokenizer)
