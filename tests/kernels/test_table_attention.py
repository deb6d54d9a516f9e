"""Attention by tables against float64, and the same bits in any batch, at any place, with any cut;
through Triton's interpreter where there is no GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from devices import DEVICE, DTYPES, NEEDS_GPU

from sglc.kernels.contract import KernelError
from sglc.kernels.table_attention import bytes_moved, table_attention, table_attention_ref
from sglc.kernels.table_attention_triton import table_attention_triton
from sglc.kernels.table_work import QUERIES, SPAN, TableWork, plan_units, slots_by_position
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison

Segment = tuple[int, int]  # position of the first row, number of rows


class Sequences:
    """Sequences of `lengths` tokens in a pool, at slots that lie anywhere, and a query for each
    token; what no sequence holds is NaN."""

    def __init__(
        self, lengths: list[int], heads: tuple[int, int, int], dtype: torch.dtype, seed: int = 0
    ) -> None:
        self.H, self.K, D = heads
        generator = torch.Generator().manual_seed(seed)
        num_slots = sum(lengths) + 50
        self.slots = torch.randperm(num_slots, generator=generator)[: sum(lengths)].int()
        self.starts = np.cumsum([0, *lengths[:-1]])
        self.q = torch.randn(sum(lengths), self.H, D, generator=generator).to(dtype)
        self.k, self.v = (
            poison(torch.randn(num_slots, self.K, D, generator=generator).to(dtype),
                   self.slots.long(), float("nan")) for _ in range(2)
        )  # fmt: skip

    def work(self, segments: list[tuple[int, Segment]]) -> tuple[TableWork, list[int]]:
        """The work of (sequence, segment) pairs, and the queries of its rows."""
        rows = np.cumsum([0, *(count for _, (_, count) in segments)])
        plan = plan_units(
            self.H // self.K,
            np.array([(rows[i], n, at) for i, (_, (at, n)) in enumerate(segments)]),
            np.array([self.starts[s] for s, _ in segments]),
        )
        queries = [
            int(self.starts[s]) + at + i for s, (at, count) in segments for i in range(count)
        ]
        units = torch.from_numpy(plan).to(DEVICE)
        return TableWork(units, self.slots.to(DEVICE)), queries

    def attend(self, segments: list[tuple[int, Segment]], num_spans: int = 0) -> torch.Tensor:
        work, queries = self.work(segments)
        if num_spans:
            num_done = torch.zeros(len(work.units), self.K, dtype=torch.int32, device=DEVICE)
            work = TableWork(work.units, work.slots, num_spans, num_done)
        tensors = (self.q[queries], self.k, self.v)
        y = table_attention_triton(*(x.to(DEVICE) for x in tensors), work)
        if work.num_done is not None:
            assert not work.num_done.any(), "the next launch would count on from there"
        return y.cpu()

    def exact(self, segments: list[tuple[int, Segment]]) -> torch.Tensor:
        work, queries = self.work(segments)
        there = TableWork(work.units.cpu(), work.slots.cpu())
        return table_attention_ref(
            self.q[queries].double(), self.k.double(), self.v.double(), there
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(4, 2, 16), (3, 1, 32), (2, 2, 16)], ids=str)
def test_equals_the_reference(heads, dtype) -> None:
    sequences = Sequences([70, SPAN + 40, 1], heads, dtype)
    segments = [(0, (0, 70)), (1, (SPAN - 20, 50)), (1, (300, 3)), (2, (0, 1))]
    y = sequences.attend(segments)
    assert error_ratio(y, sequences.exact(segments)) < ERROR_RATIO[dtype]


@pytest.mark.usefixtures("ordered_products")
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_a_row_is_the_same_bits_in_any_batch(dtype) -> None:
    """A token prefilled with others, in chunks, and decoded, with its spans together and apart."""
    length = SPAN + 70
    sequences = Sequences([length, 90], (3, 1, 16), dtype)
    whole = sequences.attend([(0, (0, length))])
    for cut in (100, SPAN - 1):
        chunks: list[tuple[int, Segment]] = [(1, (5, 80)), (0, (cut, length - cut)), (0, (0, cut))]
        y = sequences.attend(chunks)
        assert torch.equal(y[80 : 80 + length - cut], whole[cut:])
        assert torch.equal(y[80 + length - cut :], whole[:cut])
    places = [0, 1, 63, 64, SPAN - 1, SPAN, SPAN + 1, length - 1]
    steps: list[tuple[int, Segment]] = [(0, (place, 1)) for place in places]
    assert torch.equal(sequences.attend(steps), whole[places])
    assert torch.equal(sequences.attend(steps, num_spans=2), whole[places])
    assert torch.equal(sequences.attend(steps[::-1], num_spans=4), whole[places[::-1]])


def test_other_slots_give_the_same_bits() -> None:
    """The same tokens at other slots of the pool."""
    sequences = Sequences([200], (4, 2, 16), torch.float16)
    before = sequences.attend([(0, (0, 200))])
    order = torch.randperm(len(sequences.k), generator=torch.Generator().manual_seed(3))
    sequences.slots = order.argsort()[sequences.slots.long()].int()
    sequences.k, sequences.v = sequences.k[order], sequences.v[order]
    assert torch.equal(sequences.attend([(0, (0, 200))]), before)


def test_rows_that_no_unit_names_are_not_written() -> None:
    sequences = Sequences([30], (2, 1, 16), torch.float32)
    units = torch.tensor([[1, 1, 20, 0], [0, 0, 0, 0]], dtype=torch.int32, device=DEVICE)
    torch.use_deterministic_algorithms(True)  # new tensors are full of NaN
    for num_spans in (0, 1):
        num_done = torch.zeros(2, 1, dtype=torch.int32, device=DEVICE)
        work = TableWork(units, sequences.slots.to(DEVICE), num_spans, num_done)
        tensors = (sequences.q[19:21], sequences.k, sequences.v)
        y = table_attention_triton(*(x.to(DEVICE) for x in tensors), work)
        assert y[0].isnan().all()
        assert error_ratio(y[1:].cpu(), sequences.exact([(0, (20, 1))])) < 2e-6
    torch.use_deterministic_algorithms(False)


def test_the_plan() -> None:
    """Long segments are cut, and the units with most to see come first."""
    most = QUERIES // 4
    units = plan_units(4, np.array([[0, 5, 10], [5, most + 6, 0]]), np.array([0, 15]))
    assert units.tolist() == [
        [5 + most, 6, most, 15],
        [5, most, 0, 15],
        [0, 5, 10, 0],
    ]
    slots = slots_by_position(torch.tensor([[8, 30, 2], [3, 1, 2]]), 6)
    assert slots.tolist() == [8, 9, 10, 30, 2, 3]
    work = TableWork(torch.from_numpy(units), slots)
    # contexts of 22, 16 and 15 tokens, 27 rows
    assert bytes_moved(work, 4, 1, 16, 2) == (2 * 53 + 2 * 27 * 4) * 16 * 2


def test_without_a_gpu_the_reference_runs() -> None:
    units = torch.tensor([[0, 3, 0, 0]], dtype=torch.int32)
    q = pool = torch.eye(3, 16)[:, None]
    y = table_attention(q, pool, pool, TableWork(units, torch.arange(3)))
    assert torch.equal(y[0], pool[0])


def test_refuses_head_sizes() -> None:
    q = torch.zeros(1, 2, 48)
    work = TableWork(torch.zeros(1, 4, dtype=torch.int32), torch.zeros(1, dtype=torch.int32))
    with pytest.raises(KernelError, match="wanted head size 16 to 256, got 48"):
        table_attention_triton(q, q, q, work)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "heads",
    [pytest.param(h, marks=NEEDS_GPU) for h in ((32, 8, 128), (9, 3, 64), (8, 1, 256))],
    ids=str,
)
def test_full_size(heads, dtype) -> None:
    """Long contexts: right, and the same bits prefilled whole, in chunks, and decoded."""
    lengths = [3000, 1700, 400]
    sequences = Sequences(lengths, heads, dtype)
    segments: list[tuple[int, Segment]] = [(i, (0, n)) for i, n in enumerate(lengths)]
    whole = sequences.attend(segments)
    last: list[tuple[int, Segment]] = [(i, (n - 40, 40)) for i, n in enumerate(lengths)]
    ends = [sum(lengths[: i + 1]) - 40 + at for i in range(3) for at in range(40)]
    chunk = sequences.attend(last)
    assert torch.equal(chunk, whole[ends])
    assert error_ratio(chunk, sequences.exact(last)) < ERROR_RATIO[dtype]
    steps: list[tuple[int, Segment]] = [(i, (n - 40 + at, 1)) for i, n in enumerate(lengths)
                                        for at in range(40)]  # fmt: skip
    assert torch.equal(sequences.attend(steps), whole[ends])
    for _ in range(3):  # spans end in any order
        assert torch.equal(sequences.attend(steps, num_spans=8), whole[ends])
