// One token for each row of logits: edits, masks, filters, draw, and the lane's next state.
//
// A block of THREADS (a definition) a row. The row's logits are read once where no filter is on;
// filters search the threshold by counting, without a sort. Sums over tokens are in fixed point, so
// they, and every token, are the same for any number of threads. The meaning is sample_step_ref in
// kernels/sample_step.py.

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define INF __int_as_float(0x7f800000)

constexpr int WARPS = THREADS / 32;
constexpr int PIVOTS = 7;             // that a pass over the weights tries
constexpr int MAX_CANDIDATES = 8000;  // weights that shared memory holds
constexpr int LIST_WARPS = 4;         // that look at a list of candidates
constexpr int MAX_CLASSES = 1 << 16;  // of tokens; what 16 bits tell apart
constexpr float FIXED = 0x1p40f;      // masses are whole numbers of 2^-40
constexpr u32 ALL = 0xffffffffu;

enum Status { RUNNING, ENDED, FULL, COMPLETE, FORCED };
enum Code { GOES_ON, ENDS, MAY_STOP };

struct Lanes {  // in the order of LaneTensors, then of ConstraintTables
  int *counts, *positions;
  long long *tokens;
  int *states, *status, *may_stop, *sampled;
  float *logprobs;
  const u64 *seeds;
  const float *temperature;
  const int *top_k;
  const float *top_p, *min_p, *repetition, *frequency, *presence;
  const int *max_tokens, *min_tokens, *mask, *early_mask, *stop_way, *bias_start, *bias_end, *table;
  const u32 *masks, *eos;
  const u8 *stop_codes;
  const int *bias_ids;
  const float *bias_values;
  const long long *directory;
  const u16 *token_class;
  const short *next;
  const u8 *is_final;
  const int *distance, *reach, *after;
  long long L;
};

// a float as an integer of the same order
__device__ int ordered(float x) {
  int bits = __float_as_int(x);
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}

__device__ float from_ordered(int bits) {
  return __int_as_float(bits < 0 ? bits ^ 0x7fffffff : bits);
}

__device__ u64 splitmix(u64 x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// The largest of a block's values.
__device__ u64 block_max(u64 value, u64 *shared) {
  for (int offset = 16; offset; offset >>= 1) {
    u64 other = __shfl_xor_sync(ALL, value, offset);
    value = other > value ? other : value;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[threadIdx.x % WARPS];
  for (int offset = WARPS / 2; offset; offset >>= 1) {
    u64 other = __shfl_xor_sync(ALL, value, offset);
    value = other > value ? other : value;
  }
  return value;
}

__device__ u64 warp_sum(u64 value, int lanes) {
  for (int offset = lanes / 2; offset; offset >>= 1) value += __shfl_xor_sync(ALL, value, offset);
  return value;
}

__device__ u64 block_sum(u64 value, u64 *shared) {
  value = warp_sum(value, 32);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  return warp_sum(shared[threadIdx.x % WARPS], WARPS);
}

// A value with the token it is of; of equal values the lowest token is the largest.
__device__ u64 scored(float value, int token) {
  return (u64)((u32)ordered(value) ^ 0x80000000u) << 32 | (ALL - (u32)token);
}

__device__ int token_of(u64 best) { return (int)(ALL - (u32)best); }
__device__ float value_of(u64 best) { return from_ordered((int)((u32)(best >> 32) ^ 0x80000000u)); }

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

// Penalties on the tokens that were sampled, in place, each token by the thread of its first
// occurrence; then biases.
__device__ void edit(float *logits, const Lanes &lanes, int lane, int count) {
  float repetition = lanes.repetition[lane], frequency = lanes.frequency[lane];
  float presence = lanes.presence[lane];
  if (repetition != 1 || frequency != 0 || presence != 0) {
    const int *sampled = lanes.sampled + lane * lanes.L;
    for (int i = threadIdx.x; i < count; i += THREADS) {
      int token = sampled[i];
      int earlier = 0;
      while (sampled[earlier] != token) earlier++;
      if (earlier < i) continue;
      float x = logits[token];
      x = (x > 0 ? __fdiv_rn(x, repetition) : __fmul_rn(x, repetition)) - presence;
      for (int j = i; j < count; j++)
        if (sampled[j] == token) x -= frequency;
      logits[token] = x;
    }
    __syncthreads();
  }
  int begin = lanes.bias_start[lane], end = lanes.bias_end[lane];
  if (begin < end) {
    for (int i = begin + threadIdx.x; i < end; i += THREADS)
      logits[lanes.bias_ids[i]] += lanes.bias_values[i];
    __syncthreads();
  }
}

// A draw's noise: the kernel of kernels/sample.py, bit by bit.
struct Noise {
  u32 low, high;

  __device__ Noise(u64 seed, int position) {
    u64 key = splitmix(splitmix(seed) + (u64)(position + 1) * 0x9E3779B97F4A7C15ull);
    low = (u32)key;
    high = (u32)(key >> 32);
  }

  // 31 bits of the token's own
  __device__ float whole(int token) const {
    u32 x = (u32)token * 0x9E3779B1u + low;
    x = (x ^ (x >> 16)) * 0x21F0AAADu;
    x = ((x ^ (x >> 15)) + high) * 0x735A2D97u;
    x ^= x >> 15;
    return __fadd_rn((float)(int)(x & 0x7fffffffu), 0.5f);
  }
};

// The highest value + Gumbel noise of the tokens a thread visits. Noise is -log of -log1p(-u), and
// -log1p(-u) >= u: a token whose u is too large to win needs no logarithm, and few others are left.
struct Draw {
  Noise noise;
  u64 best;
  float to_beat;

  __device__ void visit(int token, float value) {
    float whole = noise.whole(token);
    if (!(whole * 0x1p-31f < 1.001f * __expf(value - to_beat))) return;
    float score = value - logf(-log1pf(__fmul_rn(whole, -0x1p-31f)));
    u64 found = scored(score, token);
    if (found > best) best = found;
  }

  // what one lane of the warp found, all of them must beat
  __device__ void share() {
    to_beat = from_ordered(__reduce_max_sync(ALL, ordered(value_of(best))));
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

__device__ u64 fixed(float weight) { return (u64)(weight * FIXED); }

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

// The natural logarithm of the probability of `token` in softmax(logits).
__device__ __noinline__ float log_probability(const float *logits, int V, int token, u64 *shared) {
  Mask none{};
  float highest = -INF;
  for_tokens<1>(logits, V, none, [&](int, float x) { highest = fmaxf(highest, x); }, [] {});
  highest = value_of(block_max(scored(highest, 0), shared));
  u64 mass = 0;
  for_tokens<1>(logits, V, none, [&](int, float x) { mass += fixed(expf(x - highest)); }, [] {});
  mass = block_sum(mass, shared);
  return logits[token] - highest - logf((float)mass * 0x1p-40f);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1024 / THREADS)
    sample_step(float *all_logits, const float *raw, const int *rows, const Lanes *block_of_lanes,
                int V) {
  __shared__ Scratch scratch;
#if __CUDA_ARCH__ >= 900
  // the kernel ahead wrote the logits
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  const Lanes &lanes = *block_of_lanes;
  int lane = rows[blockIdx.x];
  if (lane < 0 || lanes.status[lane] != RUNNING) return;
  float *logits = all_logits + (long long)blockIdx.x * V;
  int count = lanes.counts[lane], max_tokens = lanes.max_tokens[lane];
  int table = lanes.table[lane], stop_way = lanes.stop_way[lane], top_k = lanes.top_k[lane];
  float temperature = lanes.temperature[lane];
  float top_p = lanes.top_p[lane], min_p = lanes.min_p[lane];
  Mask mask{};
  int words = (V + 31) / 32;
  bool is_early = count < lanes.min_tokens[lane];
  mask.banned = lanes.masks + (long long)(is_early ? lanes.early_mask : lanes.mask)[lane] * words;
  mask.eos = lanes.eos;
  const long long *entry = lanes.directory + 5ll * table;
  const short *next = nullptr;
  if (table >= 0) {
    int state = lanes.states[lane], left = max_tokens - count - 1;
    long long first = entry[2];
    next = lanes.next + entry[1] + state * entry[3];
    bool is_near = left <= lanes.reach[first + state];
    allow_classes(scratch.classes, next, entry[3], is_near ? lanes.distance + first : nullptr,
                  left);
    mask.token_class = lanes.token_class + entry[0];
    mask.classes = scratch.classes;
    mask.may_end = entry[4] && lanes.is_final[first + state];
  }
  edit(logits, lanes, lane, count);

  u64 best = scored(-INF, 0);
  if (temperature == 0) {
    float highest = -INF;
    int token = 0;
    for_tokens<4>(
        logits, V, mask,
        [&](int id, float x) { if (x > highest) highest = x, token = id; }, [] {});
    best = scored(highest, token);
  } else {
    Divisor temper(fminf(fmaxf(temperature, 1e-6f), 1e30f));
    Draw draw{Noise(lanes.seeds[lane], count), best, -INF};
    if (top_k <= 0 && top_p >= 1 && min_p <= 0) {
      for_tokens<4>(
          logits, V, mask, [&](int id, float x) { draw.visit(id, temper.divide(x)); },
          [&] { draw.share(); });
    } else {
      float highest = -INF;
      for_tokens<2>(
          logits, V, mask,
          [&](int, float x) { highest = fmaxf(highest, temper.divide(x)); }, [] {});
      highest = value_of(block_max(scored(highest, 0), scratch.reduce));
      Weights weights{logits, V, mask, temper, highest, scratch, false};
      float least = threshold_of(weights, top_k, top_p, min_p);
      for_tokens<1>(
          logits, V, mask,
          [&](int id, float x) {
            if (weights.of(x) >= least) draw.visit(id, temper.divide(x));
          },
          [&] { draw.share(); });
    }
    best = draw.best;
  }
  int token = token_of(block_max(best, scratch.reduce));
  float logprob = 0;
  if (raw) logprob = log_probability(raw + (long long)blockIdx.x * V, V, token, scratch.reduce);
  if (threadIdx.x) return;

  int code = lanes.stop_codes[(long long)stop_way * V + token];
  int status = code == ENDS ? ENDED : RUNNING;
  if (table >= 0 && status == RUNNING) {
    int state = next[mask.token_class[token]];
    lanes.states[lane] = max(state, 0);
    status = state < 0 ? ENDED : lanes.after[entry[2] + state];  // nothing was allowed
  }
  if (count + 1 >= max_tokens && (status == RUNNING || status == FORCED)) status = FULL;
  if (code == MAY_STOP && lanes.may_stop[lane] == 0) lanes.may_stop[lane] = count + 1;
  lanes.sampled[lane * lanes.L + count] = token;
  if (raw) lanes.logprobs[lane * lanes.L + count] = logprob;
  lanes.tokens[lane] = token;
  lanes.counts[lane] = count + 1;
  lanes.positions[lane] += 1;
  lanes.status[lane] = status;
}
