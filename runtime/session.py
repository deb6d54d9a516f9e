"""From a model's name to the engine that runs it, in two steps: what compiling needs, then the
weights.

Law: a plan never runs on a model, tokenizer or template other than the one it was compiled for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sglc.codegen.plan import Plan
from sglc.runtime.engine.request import Engine
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.locate import Progress, locate
from sglc.runtime.model.spec import ModelSpec

if TYPE_CHECKING:
    import torch

    from sglc.runtime.engine.device.engine import DeviceEngine
    from sglc.runtime.engine.engine import TreeEngine
    from sglc.runtime.models.transformer import Transformer


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is loaded and run. `kv_memory` is in bytes; None leaves it to the engine.

    The last four are for measuring what each is worth, and change no result: whether requests
    `share` KV, attention reads what several rows see once for all (`tree`), what does not depend on
    each other runs together (`parallel`), and the `order` in which rows start (as `run` takes
    it)."""

    device: str = "auto"
    dtype: str = "auto"
    load_format: str = "auto"
    kv_memory: int | None = None
    deterministic: bool = False
    share: bool = True
    tree: bool = True
    parallel: bool = True
    order: str = "planned"

    def identity(self) -> dict[str, str | bool]:
        """What of it decides results."""
        return {
            "--device": self.device,
            "--dtype": self.dtype,
            "--load-format": self.load_format,
            "--deterministic": self.deterministic,
        }


@dataclass(frozen=True, slots=True)
class Session:
    """A model found and described. Its weights are read by the first `make_engine`, and kept; each
    engine is a fresh one for one run."""

    spec: ModelSpec
    make_engine: Callable[[EngineOptions], Engine]


def open_session(name: str | None, progress: Progress | None = None) -> Session:
    """Find the model called `name` (None: the embedded one), fetching it if need be. Raises
    ModelError."""
    from sglc.runtime.model.load import load_spec

    files = locate(name, progress=progress)
    spec = load_spec(files)

    @lru_cache(maxsize=1)
    def load(device: str, dtype: str, load_format: str) -> Transformer:
        from sglc.runtime.model.load import load_model

        return load_model(files, device=device, dtype=dtype, load_format=load_format)

    def make_engine(options: EngineOptions) -> Engine:
        # torch takes seconds to import: not before there is something to run
        model = load(options.device, options.dtype, options.load_format)
        return _engine_for(model.device)(
            model,
            spec.tokenizer,
            kv_memory=options.kv_memory,
            deterministic=options.deterministic,
            thinking=spec.thinking,
            share=options.share,
            tree=options.tree,
        )

    return Session(spec, make_engine)


def _engine_for(device: torch.device) -> type[DeviceEngine] | type[TreeEngine]:
    # Triton takes half a second to import, and is not there on every machine
    if device.type == "cuda":
        from sglc.runtime.engine.device.engine import DeviceEngine

        return DeviceEngine
    from sglc.runtime.engine.engine import TreeEngine

    return TreeEngine


def check_model(plan: Plan, spec: ModelSpec) -> None:
    """Raise ModelError unless the plan was compiled for this model."""
    for what, wanted, found in (
        ("tokenizer or chat template", plan.model.tokenizer_hash, spec.identity.tokenizer_hash),
        ("configuration", plan.model.config_hash, spec.identity.config_hash),
    ):
        if wanted != found:
            raise ModelError(
                f"the plan was compiled for {plan.model.reference}; {spec.identity.reference} has "
                f"another {what}: compile the program again with --model {spec.identity.reference}"
            )
