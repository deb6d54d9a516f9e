// The lowest weight that top-k, top-p and min-p keep: by counting what reaches a few pivots at a
// time, first where the logits lie, then in a list of the weights that can matter.

#pragma once

#include "sample_mask.cuh"

constexpr int PIVOTS = 7;             // that a pass over the weights tries
constexpr int MAX_CANDIDATES = 8000;  // weights that shared memory holds
constexpr int LIST_WARPS = 4;         // that look at a list of candidates

// x / by, correctly rounded (Markstein, "Computation of elementary functions on the IBM RISC
// System/6000", section 3), without the slow path that a division brings to every place.
struct Divisor {
  float by, reciprocal;

  __device__ Divisor(float by) : by(by), reciprocal(__frcp_rn(by)) {}
  __device__ float divide(float x) const {
    float near = __fmul_rn(x, reciprocal);
    float exact = __fmaf_rn(__fmaf_rn(-near, by, x), reciprocal, near);
    return fabsf(near) < INF ? exact : near;
  }
};

struct Scratch {
  u64 reduce[WARPS];
  u64 partial[PIVOTS + 1][WARPS];  // of a tally, by warp
  u32 partial_count[PIVOTS + 1][WARPS];
  u64 mass[PIVOTS + 1];  // of the weights from each pivot on, then of all
  u32 count[PIVOTS + 1];
  u32 num_candidates;
  float candidates[MAX_CANDIDATES];
  u32 classes[MAX_CLASSES / 32];
};

// The weights of a row's tokens, exp(value - highest), so that the highest is 1: where the logits
// lie, or, once few of them matter, those few.
struct Weights {
  const float *logits;
  int V;
  const Mask &mask;
  Divisor temper;
  float highest;
  Scratch &scratch;
  bool is_listed;

  __device__ float of(float logit) const {
    return expf(temper.divide(logit) - highest);
  }

  template <class Visit>
  __device__ void each(Visit visit) const {
    if (is_listed) {
      // few warps: what they found has to be added up
      for (int i = threadIdx.x; i < scratch.num_candidates; i += LIST_WARPS * 32)
        visit(scratch.candidates[i]);
    } else {
      for_tokens<2>(logits, V, mask, [&](int, float x) { visit(of(x)); }, [] {});
    }
  }

  // keep those from `key` on, which fit
  __device__ void list(int key) {
    if (threadIdx.x == 0) scratch.num_candidates = 0;
    __syncthreads();
    each([&](float weight) {
      if (__float_as_int(weight) < key) return;
      // one addition for all threads that are here together
      u32 here = __activemask();
      u32 before = __popc(here & ((1u << threadIdx.x % 32) - 1)), place = 0;
      if (before == 0) place = atomicAdd(&scratch.num_candidates, __popc(here));
      place = __shfl_sync(here, place, __ffs(here) - 1);
      scratch.candidates[place + before] = weight;
    });
    __syncthreads();
    is_listed = true;
  }
};

// Weights are positive, so their bits are in their order: those are the keys. From `low` on there
// are `count` weights of `mass` together, which is enough; from `high` on there are not.
struct Range {
  int low, high;
  u32 count;
  u64 mass;
};

// How many weights there are from each pivot on, and their mass, into the scratch memory.
__device__ __noinline__ void tally(const int (&pivots)[PIVOTS], const Weights &weights) {
  Scratch &scratch = weights.scratch;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int num_warps = weights.is_listed ? LIST_WARPS : WARPS;
  if (warp < num_warps) {
    u32 counts[PIVOTS + 1] = {};
    u64 masses[PIVOTS + 1] = {};
    weights.each([&](float weight) {
      u64 mass = fixed(weight);
#pragma unroll
      for (int i = 0; i < PIVOTS; i++)
        if (__float_as_int(weight) >= pivots[i]) counts[i]++, masses[i] += mass;
      masses[PIVOTS] += mass;
    });
#pragma unroll
    for (int i = 0; i <= PIVOTS; i++) {
      u64 mass = warp_sum(masses[i], 32);
      u32 count = __reduce_add_sync(ALL, counts[i]);
      if (lane == 0) scratch.partial[i][warp] = mass, scratch.partial_count[i][warp] = count;
    }
  }
  __syncthreads();
  if (warp <= PIVOTS) {
    u64 mass = warp_sum(lane < num_warps ? scratch.partial[warp][lane] : 0, 32);
    u32 count = __reduce_add_sync(ALL, lane < num_warps ? scratch.partial_count[warp][lane] : 0);
    if (lane == 0) scratch.mass[warp] = mass, scratch.count[warp] = count;
  }
  __syncthreads();
}

// The part of the range between two pivots where at least `count` weights and `mass` are still
// held, after a tally.
__device__ Range part(Range range, const int (&pivots)[PIVOTS], u32 count, u64 mass,
                      const Scratch &scratch) {
  Range narrower = range;
#pragma unroll
  for (int i = 0; i < PIVOTS; i++) {
    bool holds = scratch.count[i] >= count && scratch.mass[i] >= mass;
    if (holds && pivots[i] > narrower.low)
      narrower = {pivots[i], narrower.high, scratch.count[i], scratch.mass[i]};
    if (!holds && pivots[i] < narrower.high) narrower.high = pivots[i];
  }
  return narrower;
}

// Narrow the range until it is one key, or until at most `few` weights are left.
__device__ __noinline__ Range narrow(Range range, u32 count, u64 mass, u32 few,
                                     const Weights &weights) {
  while (range.high - range.low > 1 && range.count > few) {
    u32 width = range.high - range.low;
    int pivots[PIVOTS];
#pragma unroll
    for (int i = 0; i < PIVOTS; i++) {
      u32 step = (u64)width * (i + 1) / (PIVOTS + 1);
      pivots[i] = range.low + (step ? step : 1);
    }
    tally(pivots, weights);
    range = part(range, pivots, count, mass, weights.scratch);
  }
  return range;
}

// The lowest weight that top-k, then top-p of what is left, then min-p keep.
__device__ __noinline__ float threshold_of(Weights &weights, int top_k, float top_p, float min_p) {
  constexpr int ONE = 0x3f800000, OCTAVE = 0x00800000;  // keys of 1 and of a factor of two
  bool limits = top_k > 0 && top_k < weights.V;
  bool has_nucleus = top_p < 1;
  if (!limits && !has_nucleus) return min_p;
  u32 k = limits ? top_k : 0;
  // most of a model's mass is within a few octaves
  const int pivots[PIVOTS] = {ONE - 18 * OCTAVE, ONE - 14 * OCTAVE, ONE - 12 * OCTAVE,
                              ONE - 10 * OCTAVE, ONE - 8 * OCTAVE,  ONE - 6 * OCTAVE,
                              ONE - 3 * OCTAVE};
  tally(pivots, weights);
  u64 total = weights.scratch.mass[PIVOTS];
  u64 most = has_nucleus ? (u64)((double)top_p * total) : 0;
  // as far as both can be sought together
  Range range = part({0, ONE + 1, (u32)weights.V, total}, pivots, k, most, weights.scratch);
  range = narrow(range, k, most, MAX_CANDIDATES, weights);
  if (range.count <= MAX_CANDIDATES) weights.list(range.low);
  if (limits && has_nucleus) range.high = ONE + 1;
  int kth = 0, nucleus = 0;
  u64 left = total;
  if (limits) {
    Range found = narrow(range, k, 0, 0, weights);
    kth = found.low;
    left = found.mass;
  }
  if (has_nucleus) nucleus = narrow(range, 0, (u64)((double)top_p * left), 0, weights).low;
  return fmaxf(min_p, __int_as_float(max(kth, nucleus)));
}
