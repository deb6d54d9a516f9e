"""How a model stretches its rotary embedding past the context it was trained on.

Law: `inverse_frequencies` is the whole effect on angles; `attention_factor` scales cos and sin.
Knows nothing of torch: a few dozen numbers, computed once in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sglc.runtime.model.errors import ModelError


@dataclass(frozen=True, slots=True)
class Linear:
    """Positions are divided by `factor`."""

    factor: float


@dataclass(frozen=True, slots=True)
class Llama3:
    """Long waves are slowed by `factor`, short ones kept, those between blended (Llama 3.1)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context_len: int


@dataclass(frozen=True, slots=True)
class Yarn:
    """Bands of waves are slowed by how often they turn in the original context (YaRN,
    arXiv 2309.00071, sections 3.2 to 3.4). `attention_factor` scales cos and sin."""

    factor: float
    original_context_len: int
    beta_fast: float
    beta_slow: float
    attention_factor: float
    rounds_band: bool


@dataclass(frozen=True, slots=True)
class Divisors:
    """Each of the D/2 frequencies is divided by its own number (how GGUF files carry Llama 3)."""

    values: tuple[float, ...]


RopeScaling = Linear | Llama3 | Yarn | Divisors


def read_rope_scaling(fields: Mapping[str, Any] | None, context_len: int) -> RopeScaling | None:
    """The scaling that a config's `rope_scaling` or `rope_parameters` asks for.

    `context_len` is the config's max_position_embeddings, the original context where the fields do
    not say one. Raises ModelError for a kind that the families here do not use.
    """
    kind = (fields or {}).get("rope_type", (fields or {}).get("type", "default"))
    if fields is None or kind == "default":
        return None
    original = int(fields.get("original_max_position_embeddings") or context_len)
    try:
        if kind == "linear":
            return Linear(float(fields["factor"]))
        if kind == "llama3":
            return Llama3(
                factor=float(fields["factor"]),
                low_freq_factor=float(fields["low_freq_factor"]),
                high_freq_factor=float(fields["high_freq_factor"]),
                original_context_len=original,
            )
        if kind == "yarn":
            return _read_yarn(fields, original, context_len)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the config's {kind} rope scaling is not complete: {error}") from error
    raise ModelError(f"rope scaling `{kind}` is not supported; known: linear, llama3, yarn")


def _read_yarn(fields: Mapping[str, Any], original: int, context_len: int) -> Yarn:
    factor = fields.get("factor")
    if factor is None:
        factor = context_len / original
    attention_factor = fields.get("attention_factor")
    if attention_factor is None:
        mscale, mscale_all_dim = fields.get("mscale"), fields.get("mscale_all_dim")
        if mscale and mscale_all_dim:
            attention_factor = _temperature(factor, mscale) / _temperature(factor, mscale_all_dim)
        else:
            attention_factor = _temperature(factor, 1.0)
    return Yarn(
        factor=float(factor),
        original_context_len=original,
        beta_fast=float(fields.get("beta_fast") or 32),
        beta_slow=float(fields.get("beta_slow") or 1),
        attention_factor=float(attention_factor),
        rounds_band=bool(fields.get("truncate", True)),
    )


def _temperature(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def inverse_frequencies(
    head_size: int, theta: float, scaling: RopeScaling | None
) -> tuple[float, ...]:
    """Radians a position for each of the D/2 pairs of a head."""
    plain = [theta ** (-2 * i / head_size) for i in range(head_size // 2)]
    match scaling:
        case None:
            return tuple(plain)
        case Linear(factor):
            return tuple(f / factor for f in plain)
        case Divisors(values):
            if len(values) != len(plain):
                raise ModelError(
                    f"the model has {len(values)} rope factors for {len(plain)} frequencies"
                )
            return tuple(f / value for f, value in zip(plain, values, strict=True))
        case Llama3():
            return tuple(_llama3(f, scaling) for f in plain)
        case Yarn():
            return _yarn(plain, head_size, theta, scaling)


def _llama3(frequency: float, scaling: Llama3) -> float:
    turns = scaling.original_context_len * frequency / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = min(max((turns - low) / (high - low), 0.0), 1.0)
    return frequency * (kept + (1 - kept) / scaling.factor)


def _yarn(plain: list[float], head_size: int, theta: float, scaling: Yarn) -> tuple[float, ...]:
    def pair_that_turns(times: float) -> float:
        wave = scaling.original_context_len / (times * 2 * math.pi)
        return head_size * math.log(wave) / (2 * math.log(theta))

    low, high = pair_that_turns(scaling.beta_fast), pair_that_turns(scaling.beta_slow)
    if scaling.rounds_band:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_size - 1)
    width = max(high - low, 0.001)
    slowed = [min(max((i - low) / width, 0.0), 1.0) for i in range(len(plain))]
    return tuple(f * ((1 - s) + s / scaling.factor) for f, s in zip(plain, slowed, strict=True))


def attention_factor(scaling: RopeScaling | None) -> float:
    """What cos and sin are multiplied by (1 for all but YaRN)."""
    return scaling.attention_factor if isinstance(scaling, Yarn) else 1.0
