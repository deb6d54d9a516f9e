// Few rows times a large matrix, y = x W^T, at the speed at which W can be read.
//
// x [M, K] bf16, W [N, K] bf16 as torch holds it, sums in fp32. The weights are the A operand of
// mma.m16n8k16 and the rows of x its B operand. A product over k may take k in any order, so a
// thread loads 16 bytes that lie together and feeds them to two mma, with the same bytes of x:
// nothing goes through shared memory but the partial sums of the warps, which share k.
//
// Built for: COLUMN_TILES (8 rows of x each), ROW_TILES (16 rows of W each), WARPS, DEPTH (steps of
// weights on their way), NORMED (x is RMS-normalised on the way: its weight multiplies x, the root
// mean square divides the sums), and what becomes of the sums, RESULT:
//   STORE  y = sums (bf16)      STORE_FP32  y = sums (fp32)
//   ADD    y += sums (bf16)     GATE        y = silu(sums) * sums N rows further down (bf16)
//   ROTATE sums are q, k and v: rotated q to y, rotated k and v into the pools (qkv_rope_write.py)

typedef unsigned int u32;
typedef unsigned short u16;

enum { STORE, STORE_FP32, ADD, GATE, ROTATE };

constexpr u32 ALL = 0xffffffffu;
constexpr int STEP = 64;  // of k: a 128-byte line of each row of W
constexpr int VECTORS = STEP / 32;
constexpr int ROWS = 16 * ROW_TILES;
constexpr int COLUMNS = 8 * COLUMN_TILES;

__device__ float from_bf16(u16 bits) { return __uint_as_float((u32)bits << 16); }
__device__ float low_half(u32 pair) { return __uint_as_float(pair << 16); }
__device__ float high_half(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ u16 to_bf16(float x) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}

__device__ u32 product(u32 a, u32 b) {  // of pairs of bf16
  u32 y;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(0x80008000u));
  return y;
}

__device__ float square_sum(u32 pair, float sum) {
  sum = fmaf(low_half(pair), low_half(pair), sum);
  return fmaf(high_half(pair), high_half(pair), sum);
}

// weights are read once: they shall not push x out of the caches
__device__ uint4 load_weights(const u16 *at) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(at));
  return x;
}

__device__ void multiply(float (&sums)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// What ROTATE needs to know: num_q query heads, then num_kv k heads, then as many v heads, of size D.
struct Rotation {
  const long long *positions, *slots;  // [M]; nothing is written at a negative slot
  const float *table;                  // [2, P, D/2]: cos, sin
  u16 *k_pool, *v_pool;                // [slots, num_kv, D]
  int P, num_q, num_kv, D;

  // the sums of two places of a head, half a head apart
  __device__ void store(u16 *y, int row, int head, int place, float x1, float x2) const {
    long long slot = slots[row];
    if (head < num_q + num_kv) {
      const float *at = table + positions[row] * (D / 2) + place;
      float cos = at[0], sin = at[(long long)P * (D / 2)];
      float turned = x1 * cos - x2 * sin;
      x2 = x2 * cos + x1 * sin;
      x1 = turned;
    }
    u16 *out = y + ((long long)row * num_q + head) * D;
    if (head >= num_q) {
      if (slot < 0) return;
      bool is_v = head >= num_q + num_kv;
      x1 = finite(x1, is_v), x2 = finite(x2, is_v);
      int kv_head = head - num_q - is_v * num_kv;
      out = (is_v ? v_pool : k_pool) + (slot * num_kv + kv_head) * D;
    }
    out[place] = to_bf16(x1);
    out[place + D / 2] = to_bf16(x2);
  }

  // pools stay finite: what is not is 0, or the largest number where it is an infinite value
  __device__ static float finite(float x, bool clamps) {
    const float largest = __uint_as_float(0x7f7f0000u);
    if (fabsf(x) <= largest) return x;
    return clamps && x == x ? copysignf(largest, x) : 0;
  }
};

extern "C" __global__ void __launch_bounds__(WARPS * 32)
    small_linear(const u16 *x, const u16 *weight, const u16 *bias, const u16 *norm, void *y, int M,
                 int N, int K, float eps
#if RESULT == 4
                 , const long long *positions, const long long *slots, const float *table,
                 u16 *k_pool, u16 *v_pool, int P, int num_q, int num_kv, int D
#endif
    ) {
  __shared__ float partial[WARPS][ROWS][COLUMNS + 1];
  __shared__ float squares[WARPS][COLUMNS];
  int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
  // the first row of each tile; some take a second tile that belongs to the first
  constexpr bool IS_PAIRED = RESULT == GATE || RESULT == ROTATE;
  int first[ROW_TILES];
#pragma unroll
  for (int tile = 0; tile < ROW_TILES; tile++)
    first[tile] = IS_PAIRED ? (blockIdx.x * ROW_TILES / 2 + tile / 2) * 16
                            : (blockIdx.x * ROW_TILES + tile) * 16;
  int apart = N;  // of the tiles of a pair: the gate and what it gates
#if RESULT == 4
  apart = D / 2;  // the halves of a head
#pragma unroll
  for (int tile = 0; tile < ROW_TILES; tile++)
    first[tile] += first[tile] / apart * apart;
#endif
#pragma unroll
  for (int tile = 1; tile < ROW_TILES; tile += 2)
    if (IS_PAIRED) first[tile] += apart;

  const u16 *rows[ROW_TILES][2];
#pragma unroll
  for (int tile = 0; tile < ROW_TILES; tile++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      // rows past the end read the last: they are not written
      int last = IS_PAIRED ? 2 * N - 1 : N - 1;
      long long row = min(first[tile] + half * 8 + group, last);
      rows[tile][half] = weight + row * K + quad * 8;
    }

  uint4 loaded[DEPTH][ROW_TILES][2][VECTORS];
  auto load = [&](int slot, int k) {
    if (k >= K) return;
#pragma unroll
    for (int tile = 0; tile < ROW_TILES; tile++)
#pragma unroll
      for (int half = 0; half < 2; half++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
          loaded[slot][tile][half][v] = load_weights(rows[tile][half] + k + v * 32);
  };
  int first_k = warp * STEP;
#pragma unroll
  for (int slot = 0; slot < DEPTH; slot++) load(slot, first_k + slot * WARPS * STEP);

#if __CUDA_ARCH__ >= 900
  // the weights do not depend on the kernel ahead, x does
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif

  float sums[ROW_TILES][COLUMN_TILES][4] = {};
  float square[COLUMN_TILES] = {};
  for (int k = first_k; k < K; k += DEPTH * WARPS * STEP) {
#pragma unroll
    for (int slot = 0; slot < DEPTH; slot++) {
      int at = k + slot * WARPS * STEP;
      if (at >= K) break;
      uint4 columns[COLUMN_TILES][VECTORS];
#pragma unroll
      for (int v = 0; v < VECTORS; v++) {
        uint4 scale;
        if (NORMED) scale = *(const uint4 *)(norm + at + v * 32 + quad * 8);
#pragma unroll
        for (int tile = 0; tile < COLUMN_TILES; tile++) {
          int row = tile * 8 + group;
          uint4 part = make_uint4(0, 0, 0, 0);
          if (row < M) part = *(const uint4 *)(x + (long long)row * K + at + v * 32 + quad * 8);
          if (NORMED) {
            float sum = square[tile];
            sum = square_sum(part.x, sum), sum = square_sum(part.y, sum);
            sum = square_sum(part.z, sum), sum = square_sum(part.w, sum);
            square[tile] = sum;
            part.x = product(part.x, scale.x), part.y = product(part.y, scale.y);
            part.z = product(part.z, scale.z), part.w = product(part.w, scale.w);
          }
          columns[tile][v] = part;
        }
      }
#pragma unroll
      for (int v = 0; v < VECTORS; v++)
#pragma unroll
        for (int tile = 0; tile < ROW_TILES; tile++) {
          uint4 a = loaded[slot][tile][0][v], b = loaded[slot][tile][1][v];
#pragma unroll
          for (int column = 0; column < COLUMN_TILES; column++) {
            uint4 c = columns[column][v];
            multiply(sums[tile][column], a.x, b.x, a.y, b.y, c.x, c.y);
            multiply(sums[tile][column], a.z, b.z, a.w, b.w, c.z, c.w);
          }
        }
      load(slot, at + DEPTH * WARPS * STEP);
    }
  }

#pragma unroll
  for (int tile = 0; tile < ROW_TILES; tile++)
#pragma unroll
    for (int column = 0; column < COLUMN_TILES; column++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        partial[warp][tile * 16 + i / 2 * 8 + group][column * 8 + quad * 2 + i % 2] =
            sums[tile][column][i];
  if (NORMED)
#pragma unroll
    for (int tile = 0; tile < COLUMN_TILES; tile++) {
      float sum = square[tile];
      sum += __shfl_xor_sync(ALL, sum, 1);
      sum += __shfl_xor_sync(ALL, sum, 2);
      if (quad == 0) squares[warp][tile * 8 + group] = sum;
    }
  __syncthreads();

  auto total = [&](int row, int column) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += partial[w][row][column];
    return sum;
  };
  constexpr int RESULTS = IS_PAIRED ? ROWS / 2 : ROWS;
  for (int i = threadIdx.x; i < RESULTS * M; i += WARPS * 32) {
    int row = i % RESULTS, column = i / RESULTS;
    float scale = 1;
    if (NORMED) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < WARPS; w++) sum += squares[w][column];
      scale = rsqrtf(sum / K + eps);
    }
    int place = IS_PAIRED ? row / 16 * 32 + row % 16 : row;  // the tiles of pairs alternate
    long long n = blockIdx.x * RESULTS + row;
    if (n >= N) continue;
    float sum = total(place, column) * scale;
#if RESULT == 4
    int at = n + n / apart * apart;  // the row of W
    float other = total(place + 16, column) * scale;
    if (bias) sum += from_bf16(bias[at]), other += from_bf16(bias[at + apart]);
    Rotation rotation{positions, slots, table, k_pool, v_pool, P, num_q, num_kv, D};
    rotation.store((u16 *)y, column, at / D, at % D, sum, other);
    continue;
#endif
    if (bias) sum += from_bf16(bias[n]);
    u16 *out = (u16 *)y + column * (long long)N + n;
    if (RESULT == GATE) {
      float gated = total(place + 16, column) * scale;
      if (bias) gated += from_bf16(bias[N + n]);
      *out = to_bf16(sum / (1 + __expf(-sum)) * gated);
    } else if (RESULT == ADD) {
      *out = to_bf16(from_bf16(*out) + sum);
    } else if (RESULT == STORE_FP32) {
      ((float *)y)[column * (long long)N + n] = sum;
    } else {
      *out = to_bf16(sum);
    }
  }
}
