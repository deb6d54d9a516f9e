"""Random weights of a config's shapes, for benchmarks: seeded, drawn on the device."""

from __future__ import annotations

import torch

from sglc.runtime.models.parameters import Parameters, named_tensors

# uniform within +-0.035 has the standard deviation 0.02 that most models start from
_SPREAD = 0.035


def fill_randomly(parameters: Parameters) -> None:
    """Norms get 1, all else uniform numbers of standard deviation 0.02, the same each time."""
    generator = torch.Generator(parameters.embedding.device).manual_seed(0)
    for name, tensor in named_tensors(parameters):
        if name.endswith("norm"):
            tensor.fill_(1.0)
        else:
            tensor.uniform_(-_SPREAD, _SPREAD, generator=generator)
