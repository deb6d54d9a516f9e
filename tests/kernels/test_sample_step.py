"""The sampler's step: its meaning piece by piece on the CPU, and the CUDA kernel against it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch

from sglc.kernels.lane_tensors import (
    COMPLETE,
    ENDED,
    ENDS,
    FORCED,
    FULL,
    MAY_STOP,
    RUNNING,
    ConstraintTables,
    LaneTensors,
    bit_mask,
)
from sglc.kernels.sample import draw_keys, filter_logits, sample
from sglc.kernels.sample_step import sample_step

CPU = torch.device("cpu")
V, EOS = 37, 5


@dataclass(frozen=True)
class Table:
    token_class: np.ndarray
    next: np.ndarray
    is_final: np.ndarray
    distance: np.ndarray
    reach: np.ndarray


def random_table(seed: int, num_tokens: int = V, S: int = 9, C: int = 6) -> Table:
    """An automaton from every state of which state S - 1, the final one, can be reached."""
    random = np.random.default_rng(seed)
    next = np.where(random.random((S, C)) < 0.5, random.integers(0, S, (S, C)), -1)
    next[:, 0] = -1
    next[np.arange(S - 1), 1] = np.arange(1, S)
    is_final = random.random(S) < 0.2
    is_final[-1] = True
    distance = np.where(is_final, 0, S + 1)
    for _ in range(S):
        beyond = np.where(next >= 0, distance[next], S + 1).min(1) + 1
        distance = np.minimum(distance, beyond)
    reach = np.where(next >= 0, distance[next], 0).max(1)
    token_class = random.integers(0, C, num_tokens)
    token_class[EOS] = 0
    token_class[7] = 1  # the way to the end is open
    return Table(
        token_class.astype(np.uint16),
        next.astype(np.int16),
        is_final,
        distance.astype(np.int32),
        reach.astype(np.int32),
    )


def new_lanes(N: int = 4, L: int = 12, num_tokens: int = V) -> LaneTensors:
    lanes = LaneTensors.new(N, L, num_tokens, CPU)
    lanes.stop_codes[0, EOS] = ENDS
    lanes.eos = bit_mask([EOS], num_tokens)
    return lanes


def rows_of(lanes: LaneTensors) -> torch.Tensor:
    return torch.arange(len(lanes.counts), dtype=torch.int32)


def logits_of(R: int, num_tokens: int = V, seed: int = 0) -> torch.Tensor:
    return torch.randn(R, num_tokens, generator=torch.Generator().manual_seed(seed)) * 3


def test_a_greedy_lane_takes_the_highest_and_the_lowest_of_equals() -> None:
    lanes = new_lanes(2)
    lanes.positions[:] = torch.tensor([10, 20])
    logits = torch.zeros(2, V)
    logits[0, 9] = logits[0, 30] = 1.0
    sample_step(logits, rows_of(lanes), lanes)
    assert lanes.tokens.tolist() == [9, 0]
    assert lanes.sampled[:, 0].tolist() == [9, 0]
    assert lanes.counts.tolist() == [1, 1]
    assert lanes.positions.tolist() == [11, 21]
    assert lanes.status.tolist() == [RUNNING, RUNNING]


def test_rows_name_their_lanes_and_padding_names_none() -> None:
    lanes = new_lanes(4)
    lanes.status[2] = ENDED
    logits = torch.zeros(4, V)
    logits[torch.arange(4), torch.tensor([11, 12, 13, 14])] = 1.0
    sample_step(logits, torch.tensor([3, -1, 2, 0], dtype=torch.int32), lanes)
    assert lanes.tokens.tolist() == [14, 0, 0, 11]
    assert lanes.counts.tolist() == [1, 0, 0, 1]


def test_a_draw_is_that_of_the_seed_and_the_place_in_the_gen() -> None:
    lanes = new_lanes(3)
    lanes.stop_codes[:] = 0
    lanes.seeds[:] = torch.tensor([5, -7, 1 << 60])
    lanes.temperature[:] = 0.7
    lanes.top_k[:] = 9
    lanes.top_p[:] = 0.8
    for step in range(4):
        logits = logits_of(3, seed=step)
        keys = draw_keys(lanes.seeds.numpy().view(np.uint64), np.full(3, step, dtype=np.uint64))
        kept = filter_logits(
            logits / torch.tensor(0.7), lanes.top_k.long(), lanes.top_p, lanes.min_p
        )
        sample_step(logits.clone(), rows_of(lanes), lanes)
        assert lanes.tokens.tolist() == sample(kept, keys).tolist()


def test_masks_and_the_early_mask() -> None:
    lanes = new_lanes(1)
    lanes.masks = torch.stack([bit_mask([3], V), bit_mask([3, EOS], V)])
    lanes.early_mask[:] = 1
    lanes.min_tokens[:] = 1
    logits = torch.zeros(1, V)
    logits[0, 3], logits[0, EOS], logits[0, 8] = 9.0, 8.0, 7.0
    for expected in (8, EOS):
        sample_step(logits.clone(), rows_of(lanes), lanes)
        assert int(lanes.tokens[0]) == expected
    assert int(lanes.status[0]) == ENDED


def test_penalties_and_biases() -> None:
    lanes = new_lanes(1)
    lanes.sampled[0, :3] = torch.tensor([4, 4, 6])
    lanes.counts[:] = 3
    lanes.repetition[:], lanes.frequency[:], lanes.presence[:] = 2.0, 0.5, 0.25
    lanes.bias_ids = torch.tensor([0, 30], dtype=torch.int32)
    lanes.bias_values = torch.tensor([100.0, 0.5])
    lanes.bias_start[:], lanes.bias_end[:] = 1, 2  # the first is another lane's
    logits = torch.zeros(1, V)
    # 4: 4/2 - 0.25 - 2*0.5 = 0.75; 6: 3/2 - 0.25 - 0.5 = 0.75; 30: 0.3 + 0.5
    logits[0, 4], logits[0, 6], logits[0, 30] = 4.0, 3.0, 0.3
    sample_step(logits, rows_of(lanes), lanes)
    assert int(lanes.tokens[0]) == 30


def test_how_a_lane_ends() -> None:
    """At a stop token, at its budget, where its value is complete, before forced text."""
    table = random_table(0)
    after = np.zeros(9, dtype=np.int32)
    reached = int(table.next[0, 1])
    for meaning in (RUNNING, COMPLETE, FORCED):
        lanes = new_lanes(4)
        after[reached] = meaning
        lanes.tables = ConstraintTables.pack([table], [after], [True], CPU)
        lanes.table[3] = 0
        lanes.max_tokens[1] = 1
        lanes.stop_codes[0, 8] = MAY_STOP
        logits = torch.zeros(4, V)
        logits[torch.arange(4), torch.tensor([EOS, 9, 8, 7])] = 50.0
        sample_step(logits, rows_of(lanes), lanes)
        assert lanes.tokens.tolist() == [EOS, 9, 8, 7]
        assert lanes.status.tolist() == [ENDED, FULL, RUNNING, meaning]
        assert lanes.may_stop.tolist() == [0, 0, 1, 0]
        assert int(lanes.states[3]) == reached


@pytest.mark.parametrize("seed", range(6))
def test_constrained_lanes_write_values_within_their_budget(seed: int) -> None:
    table = random_table(seed)
    lanes = new_lanes(16, L=14)
    lanes.tables = ConstraintTables.pack(
        [random_table(99), table], [np.zeros(9, dtype=np.int32)] * 2, [False, True], CPU
    )
    lanes.table[:] = 1
    lanes.temperature[:] = 1.0
    lanes.seeds[:] = torch.arange(16) + 100 * seed
    lanes.max_tokens[:] = torch.arange(16).clamp_max(5) + int(table.distance[0]) + 1
    for step in range(14):
        sample_step(logits_of(16, seed=step), rows_of(lanes), lanes)
    assert (lanes.status != RUNNING).all()
    for lane in range(16):
        tokens = lanes.sampled[lane, : int(lanes.counts[lane])].tolist()
        state = 0
        for token in tokens:
            if token == EOS:
                assert table.is_final[state] and token is tokens[-1]
                break
            state = int(table.next[state, table.token_class[token]])
            assert state >= 0
        assert table.is_final[state], "the budget ran out within the value"


def test_log_probabilities_are_the_models_own() -> None:
    lanes = new_lanes(2)
    lanes.temperature[:] = 2.0
    lanes.bias_end[:] = 1  # token 0 is lifted by 50
    lanes.bias_values[:] = 50.0
    raw = logits_of(2)
    sample_step(raw.clone(), rows_of(lanes), lanes, raw)
    assert lanes.tokens.tolist() == [0, 0]
    torch.testing.assert_close(lanes.logprobs[:, 0], raw.log_softmax(-1)[:, 0])


def random_lanes(R: int, L: int, num_tokens: int, seed: int) -> LaneTensors:
    """Lanes with every option on or off at random."""
    generator = torch.Generator().manual_seed(seed)
    lanes = new_lanes(R, L, num_tokens)

    def either(low: float, high: float, off: float) -> torch.Tensor:
        values = torch.rand(R, generator=generator) * (high - low) + low
        return torch.where(torch.rand(R, generator=generator) < 0.5, values, torch.tensor(off))

    lanes.seeds.copy_(torch.randint(-(1 << 62), 1 << 62, (R,), generator=generator))
    for name, low, high, off in (
        ("temperature", 0.3, 2, 0.0),
        ("top_k", 1, 300, 0),
        ("top_p", 0.2, 1, 1.0),
        ("min_p", 0, 0.2, 0.0),
        ("repetition", 1, 1.5, 1.0),
        ("frequency", 0, 1, 0.0),
        ("presence", 0, 1, 0.0),
        ("max_tokens", L // 2, L, L),
        ("min_tokens", 0, 3, 0),
        ("stop_way", 1, 2, 0),
        ("bias_end", 0, 20, 0),
        ("early_mask", 1, 2, 0),
        ("table", 0, 2, -1),
    ):
        option = getattr(lanes, name)
        option.copy_(either(low, high, off).to(option.dtype))
    banned = torch.randperm(num_tokens, generator=generator)[: num_tokens // 3]
    banned = banned[banned > 7].tolist()
    lanes.masks = torch.stack([bit_mask([2], num_tokens), bit_mask([2, EOS, *banned], num_tokens)])
    codes = torch.randint(0, 60, (2, num_tokens), generator=generator)
    lanes.stop_codes = torch.where(codes < 3, codes, 0).to(torch.uint8)
    lanes.bias_ids = torch.randperm(num_tokens, generator=generator)[:20].int()
    lanes.bias_values = torch.randn(20, generator=generator) * 4
    tables = [random_table(seed + i, num_tokens, 9 + i, 6 + i) for i in range(2)]
    after = [np.zeros(9 + i, dtype=np.int32) for i in range(2)]
    after[0][-1], after[1][3] = COMPLETE, FORCED
    lanes.tables = ConstraintTables.pack(tables, after, [True, False], CPU)
    # a budget in which the value can be closed
    lanes.max_tokens[lanes.table >= 0] = L
    return lanes


def on_gpu(lanes: LaneTensors) -> LaneTensors:
    N, L = lanes.sampled.shape
    moved = LaneTensors.new(N, L, lanes.stop_codes.shape[1], torch.device("cuda"))
    for field in fields(LaneTensors):
        if field.name not in ("tables", "pointers"):
            setattr(moved, field.name, getattr(lanes, field.name).cuda())
    for field in fields(ConstraintTables):
        setattr(moved.tables, field.name, getattr(lanes.tables, field.name).cuda())
    moved.refresh()
    return moved


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("num_tokens", [101, 5003, 49152])
@pytest.mark.parametrize("R", [16, 300])
def test_the_kernel_equals_the_reference(R: int, num_tokens: int) -> None:
    if R * num_tokens > 5_000_000:
        R = 60
    L = 12
    lanes = random_lanes(R, L, num_tokens, seed=R)
    moved = on_gpu(lanes)
    for step in range(L):
        raw = logits_of(R, num_tokens, seed=step)
        sample_step(raw.clone(), rows_of(lanes), lanes, raw)
        sample_step(raw.cuda(), rows_of(lanes).cuda(), moved, raw.cuda())
    for field in fields(LaneTensors):
        if field.name in ("tables", "pointers"):
            continue
        found, expected = getattr(moved, field.name).cpu(), getattr(lanes, field.name)
        if field.name == "logprobs":
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
        else:
            assert torch.equal(found, expected), field.name
