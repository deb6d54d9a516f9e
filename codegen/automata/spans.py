"""Rows of different lengths in two arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Row i is `values[starts[i] : starts[i + 1]]`."""

    starts: NDArray[np.int64]
    values: NDArray[np.int64]

    def rows(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The values of the rows at `places`, one row after the other, and the length of each."""
        counts = self.starts[places + 1] - self.starts[places]
        firsts = np.repeat(self.starts[places] - np.cumsum(counts) + counts, counts)
        return self.values[firsts + np.arange(len(firsts))], counts


def spans_of(rows: NDArray[np.integer[Any]], values: NDArray[np.int64], num_rows: int) -> Spans:
    """`rows` [N], ascending, is the row of each value."""
    return Spans(np.searchsorted(rows, np.arange(num_rows + 1)), values)
