// Which tokens a lane may sample, and the walk over a row's logits that leaves the others out.

#pragma once

#include "sample_block.cuh"

constexpr int MAX_CLASSES = 1 << 16;  // of tokens; what 16 bits tell apart

// What tokens the lane may sample now.
struct Mask {
  const u32 *banned, *eos;  // bits of tokens; no bans at all where null
  const u16 *token_class;   // null: no constraint
  const u32 *classes;       // bits of the classes that the constraint allows; EOS is in none
  bool may_end;

  __device__ bool allows(int token) const {
    return !banned || !(banned[token >> 5] >> (token & 31) & 1) && (!token_class || fits(token));
  }
  __device__ bool fits(int token) const {
    return is_allowed(token_class[token]) || may_end && (eos[token >> 5] >> (token & 31) & 1);
  }
  __device__ u32 is_allowed(u32 token_class) const {
    return classes[token_class >> 5] >> (token_class & 31) & 1;
  }
  // bits of tokens token .. token + 3, a multiple of four
  __device__ u32 banned_of_four(int token) const {
    if (!banned) return 0;
    u32 bits = banned[token >> 5] >> (token & 31);
    if (token_class) {
      uint2 four = *(const uint2 *)(token_class + token);
      u32 fit = is_allowed(four.x & 0xffff) | is_allowed(four.x >> 16) << 1 |
                is_allowed(four.y & 0xffff) << 2 | is_allowed(four.y >> 16) << 3;
      if (may_end) fit |= eos[token >> 5] >> (token & 31);
      bits |= ~fit;
    }
    return bits;
  }
};

// The classes of tokens that lead from the lane's state to one from which `left` tokens are enough.
__device__ void allow_classes(u32 *classes, const short *next, int num_classes,
                              const int *distance, int left) {
  for (int first = 0; first < num_classes; first += THREADS) {
    int token_class = first + threadIdx.x;
    int state = token_class < num_classes ? next[token_class] : -1;
    u32 bits = __ballot_sync(ALL, state >= 0 && (!distance || distance[state] <= left));
    if (threadIdx.x % 32 == 0) classes[token_class / 32] = bits;
  }
  __syncthreads();
}

// Calls visit(token, logit) for every token that may be sampled, the tokens of a thread in ascending
// order, and between(), by whole warps, after every few. UNROLL vectors are loaded ahead.
template <int UNROLL, class Visit, class Between>
__device__ void for_tokens(const float *logits, int V, const Mask &mask, Visit visit,
                           Between between) {
  if (V % 4 == 0) {
    for (int first = 0; first < V; first += THREADS * 4 * UNROLL) {
      float4 loaded[UNROLL];
      u32 banned[UNROLL];
#pragma unroll
      for (int i = 0; i < UNROLL; i++) {
        int token = first + (i * THREADS + threadIdx.x) * 4;
        banned[i] = ALL;
        if (token < V) {
          loaded[i] = *(const float4 *)(logits + token);
          banned[i] = mask.banned_of_four(token);
        }
      }
#pragma unroll
      for (int i = 0; i < UNROLL; i++) {
        int token = first + (i * THREADS + threadIdx.x) * 4;
        float x[4] = {loaded[i].x, loaded[i].y, loaded[i].z, loaded[i].w};
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (!(banned[i] >> j & 1)) visit(token + j, x[j]);
        between();
      }
    }
    return;
  }
  for (int first = 0; first < V; first += THREADS) {
    int token = first + threadIdx.x;
    if (token < V && mask.allows(token)) visit(token, logits[token]);
    between();
  }
}
