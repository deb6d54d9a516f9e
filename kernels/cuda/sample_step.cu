// One token for each row of logits: edits, masks, filters, draw, and the lane's next state.
//
// A block of THREADS (a definition) a row. The row's logits are read once where no filter is on;
// filters search the threshold by counting, without a sort. Sums over tokens are in fixed point, so
// they, and every token, are the same for any number of threads. The meaning is sample_step_ref in
// kernels/sample_step.py.

#include "sample_filter.cuh"

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

__device__ u64 splitmix(u64 x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
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
