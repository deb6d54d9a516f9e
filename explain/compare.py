"""What was predicted of a run against what a profile of it says."""

from __future__ import annotations

from dataclasses import dataclass

from sglc.runtime.planner.facts import BatchFacts
from sglc.runtime.profile import Profile


@dataclass(frozen=True, slots=True)
class Comparison:
    """`unit` is "tokens", "steps", "requests" or "seconds". `is_bound` says that the prediction is
    an upper bound, since gens may end early."""

    what: str
    unit: str
    predicted: float
    actual: float
    is_bound: bool

    @property
    def ratio(self) -> float | None:
        """Predicted over actual; None where nothing happened."""
        return self.predicted / self.actual if self.actual else None


def compare(facts: BatchFacts, profile: Profile) -> tuple[Comparison, ...]:
    """Counts, the peak of KV, and seconds by phase where the engine tells them."""
    totals, is_bound = profile.totals, not facts.lengths_are_known
    tokens = facts.tokens
    counts: list[tuple[str, str, float, str]] = [
        ("rows", "rows", facts.rows, ""),
        ("gens and selects run", "requests", facts.requests, "requests"),
        ("prompt tokens", "tokens", tokens.prompt, "prompt_tokens"),
        ("prefilled", "tokens", tokens.prefilled, "prefilled_tokens"),
        ("recomputed", "tokens", tokens.recomputed, "recomputed_tokens"),
        ("scored", "tokens", tokens.scored, "scored_tokens"),
        ("decoded", "tokens", tokens.decoded, "decoded_tokens"),
        ("peak KV", "tokens", facts.kv.peak_tokens, "peak_kv_tokens"),
        ("steps", "steps", len(facts.steps), "steps"),
    ]
    found = [
        Comparison(what, unit, predicted, totals[field] if field else profile.rows, is_bound)
        for what, unit, predicted, field in counts
    ]
    if facts.seconds is None:
        return tuple(found)
    predictions = {
        "prefill": facts.seconds.prefill,
        "decode": facts.seconds.decode,
        "sampling": facts.seconds.sampling,
        "host": facts.seconds.host,
    }
    actual = _phases(profile)
    found += [
        Comparison(phase, "seconds", predictions[phase], spent, is_bound)
        for phase, spent in actual.items()
    ]
    found.append(Comparison("total", "seconds", facts.seconds.total, profile.seconds, is_bound))
    return tuple(found)


def _phases(profile: Profile) -> dict[str, float]:
    """The run's seconds by the phases that are predicted; empty where the engine does not tell."""
    model = profile.model_phases
    if not model:
        return {}
    phases = {
        kind: model.get(kind, 0.0) + model.get(f"{kind}, mixed", 0.0)
        for kind in ("prefill", "decode")
    }
    phases["sampling"] = profile.phases.get("sampling", 0.0) + profile.phases.get("masks", 0.0)
    phases["host"] = max(0.0, profile.seconds - sum(phases.values()))
    return phases


def comparison_lines(found: tuple[Comparison, ...]) -> list[str]:
    """A table for people."""
    lines = [f"{'':24} {'predicted':>14} {'actual':>14}"]
    for each in found:
        digits = ".2f" if each.unit == "seconds" else ".0f"
        ratio = "" if each.ratio is None else f"  {each.ratio:.2f} of actual"
        name = f"{each.what}, s" if each.unit == "seconds" else each.what
        lines.append(f"{name:24} {each.predicted:14,{digits}} {each.actual:14,{digits}}{ratio}")
    if found and found[0].is_bound:
        lines.append("predicted with gens as long as they may be; they may end early")
    return lines
