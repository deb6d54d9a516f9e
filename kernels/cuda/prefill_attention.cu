// Attention of a prefill on Hopper's tensor cores: prefill_attention.py says who sees what.
//
// q [T, K*G, D], pools [slots, K, D], y like q, all bf16; scores and sums in fp32. A unit is up to
// ROWS rows: positions of a segment times the G query heads of one kv head. One block a
// multiprocessor goes over units; a warp group has the copy engine fetch queries, and K and V tile by
// tile; two others attend with 64 rows each. Of a tile the scores are made while the values of the
// tile before are summed, and one group's softmax runs beside the other's products; as in
// FlashAttention-3 (Shah et al., 2024).
// Tiles are of the extents of a unit's root path. What lies behind an extent's end is fetched too, but
// its scores are not looked at, and its values are overwritten with zeros before they are used.

#include "hopper.cuh"

constexpr int ROWS = 128, TILE = 128, WORKERS = 2;
constexpr int LINE = 64;        // numbers of a row of 128 bytes
constexpr int PARTS = D / LINE;  // matrices of such rows that lie behind one another
constexpr int POSITIONS = ROWS / G;  // of a unit
constexpr int PART_BYTES = TILE * LINE * 2, TILE_BYTES = PARTS * PART_BYTES;
constexpr int Q_PART_BYTES = ROWS * LINE * 2, Q_BYTES = PARTS * Q_PART_BYTES;
constexpr int Q_FETCHED = PARTS * POSITIONS * G * LINE * 2;  // bytes
constexpr int Q_STAGES = 2;

#define LOWEST __uint_as_float(0xff800000u)  // minus infinity

__device__ void fetch(u32 to, const TensorMap &map, u32 barrier, int column, int head, int row) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4, %5}], [%2];" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(column), "r"(head), "r"(row)
      : "memory");
}

__device__ void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// sums [64, 128] (+)= q [64, 16] k [128, 16]^T
__device__ void multiply(float (&sums)[64], u64 q, u64 k, int adds) {
  asm volatile(
      "{\n.reg .pred adds;\nsetp.ne.b32 adds, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, adds, 1, 1, 0, 0;\n}"
      : SUMS64(0)
      : "l"(q), "l"(k), "r"(adds));
}

// sums [64, D] += weights [64, 16] v [16, D]
__device__ void multiply(float (&sums)[D / 2], const u32 *weights, u64 v) {
#if D == 128
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
      : SUMS64(0)
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(v));
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
      : SUMS16(0), SUMS16(16)
      : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(v));
#endif
}

// A unit for one kv head, and its tiles one by one; all threads go over the same ones.
struct Unit {
  int first_row, num_rows, first_position, extent, end_extent, head;
  const int *extents;
  int slot, position, start, end;  // of the extent: slot and position of its first token; the tile

  __device__ Unit(const int *units, const int *extents, int work, int num_heads)
      : head(work % num_heads), extents(extents) {
    const int *unit = units + 5 * (work / num_heads);
    first_row = unit[0], num_rows = unit[1], first_position = unit[2];
    extent = unit[3], end_extent = unit[4];
    start = end = 0;
  }

  // the next tile, if there is one
  __device__ bool next() {
    start += TILE;
    while (start >= end) {
      if (extent == end_extent) return false;
      const int *at = extents + 3 * extent++;
      slot = at[0], position = at[2], start = 0;
      // what any of the rows sees
      end = min(at[1], first_position + num_rows - position);
    }
    return true;
  }

  __device__ int count() const { return min(TILE, end - start); }
  __device__ bool is_whole() const {  // for all rows
    return start + TILE <= end && position + start + TILE - 1 <= first_position;
  }
};

__device__ float power(float x) {  // of 2
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// The softmax of a thread's two rows, online. Scores and maxima are in powers of two.
struct Softmax {
  float highest[2], total[2], fade[2];

  __device__ Softmax() { highest[0] = highest[1] = LOWEST, total[0] = total[1] = 0; }

  // scores become weights; `fade` is what sums of the tiles before are to be multiplied with
  __device__ void weigh(float (&scores)[64], float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float most = LOWEST;
#pragma unroll
      for (int i = 0; i < 64; i += 4)
        most = fmaxf(most, fmaxf(scores[i + 2 * half], scores[i + 2 * half + 1]));
      float higher = fmaxf(highest[half], quad_max(most) * scale);
      fade[half] = power(highest[half] - higher);
      highest[half] = higher;
      float sum = 0;
#pragma unroll
      for (int i = 0; i < 64; i += 4) {
        float &x = scores[i + 2 * half], &y = scores[i + 2 * half + 1];
        x = power(fmaf(x, scale, -higher)), y = power(fmaf(y, scale, -higher));
        sum += x + y;
      }
      total[half] = total[half] * fade[half] + sum;
    }
  }

  __device__ void fade_out(float (&sums)[D / 2]) const {
#pragma unroll
    for (int i = 0; i < D / 2; i++) sums[i] *= fade[i / 2 % 2];
  }
};

extern "C" __global__ void __launch_bounds__(128 * (1 + WORKERS), 1)
    prefill_attention(const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map,
                      const __grid_constant__ TensorMap v_map, u16 *y, const int *units,
                      const int *num_units, const int *extents, float scale, int num_heads) {
  extern __shared__ char memory[];
  __shared__ u64 barriers[4 * STAGES + 2 * Q_STAGES];
  u32 q_at = (shared_address(memory) + 1023) / 1024 * 1024;
  u32 k_at = q_at + Q_STAGES * Q_BYTES, v_at = k_at + STAGES * TILE_BYTES;
  u32 k_full = shared_address(barriers), k_empty = k_full + 8 * STAGES;
  u32 v_full = k_empty + 8 * STAGES, v_empty = v_full + 8 * STAGES;
  u32 q_full = v_empty + 8 * STAGES, q_empty = q_full + 8 * Q_STAGES;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < STAGES; stage++) {
      init_barrier(k_full + 8 * stage, 1), init_barrier(k_empty + 8 * stage, WORKERS);
      init_barrier(v_full + 8 * stage, 1), init_barrier(v_empty + 8 * stage, WORKERS);
    }
    for (int stage = 0; stage < Q_STAGES; stage++)
      init_barrier(q_full + 8 * stage, 1), init_barrier(q_empty + 8 * stage, WORKERS);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();

  int num_works = *num_units * num_heads;
  Ring<Q_STAGES> q_ring;
  Ring<STAGES> ring;
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x > 0) return;
    for (int work = blockIdx.x; work < num_works; work += gridDim.x, q_ring.next()) {
      Unit unit(units, extents, work, num_heads);
      u32 barrier = q_full + 8 * q_ring.stage;
      wait_for(q_empty + 8 * q_ring.stage, q_ring.round ^ 1);
      expect_bytes(barrier, Q_FETCHED);
      for (int part = 0; part < PARTS; part++)
        fetch(q_at + q_ring.stage * Q_BYTES + part * Q_PART_BYTES, q_map, barrier, part * LINE,
              unit.head * G, unit.first_row);
      for (; unit.next(); ring.next()) {
        u32 at = ring.stage * TILE_BYTES, slot = unit.slot + unit.start;
        barrier = k_full + 8 * ring.stage;
        wait_for(k_empty + 8 * ring.stage, ring.round ^ 1);
        expect_bytes(barrier, TILE_BYTES);
        for (int part = 0; part < PARTS; part++)
          fetch(k_at + at + part * PART_BYTES, k_map, barrier, part * LINE, unit.head, slot);
        barrier = v_full + 8 * ring.stage;
        wait_for(v_empty + 8 * ring.stage, ring.round ^ 1);
        expect_bytes(barrier, TILE_BYTES);
        for (int part = 0; part < PARTS; part++)
          fetch(v_at + at + part * PART_BYTES, v_map, barrier, part * LINE, unit.head, slot);
      }
    }
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
  int worker = threadIdx.x / 128 - 1, thread = threadIdx.x % 128, quad = thread % 4;
  int top = worker * 64 + thread / 32 * 16 + thread % 32 / 4;  // the first of the thread's rows
  for (int work = blockIdx.x; work < num_works; work += gridDim.x, q_ring.next()) {
    Unit unit(units, extents, work, num_heads);
    u64 q = matrix_at(q_at + q_ring.stage * Q_BYTES + worker * 64 * LINE * 2);
    float scores[64], sums[D / 2];
    u32 weights[32];
    Softmax softmax;
#pragma unroll
    for (int i = 0; i < D / 2; i++) sums[i] = 0;

    auto score = [&]() {  // launches the products of the tile
      u64 k = matrix_at(k_at + ring.stage * TILE_BYTES);
      wait_for(k_full + 8 * ring.stage, ring.round);
      begin_products();
#pragma unroll
      for (int i = 0; i < D / 16; i++) {
        int part = i / 4;
        multiply(scores, q + (part * Q_PART_BYTES + i % 4 * 32) / 16,
                 k + (part * PART_BYTES + i % 4 * 32) / 16, i > 0);
      }
      end_products();
    };
    auto weigh = [&]() {  // once they are there
      if (thread == 0) arrive(k_empty + 8 * ring.stage);
      if (!unit.is_whole()) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          int position = unit.first_position + (top + 8 * half) / G;
          int last = min(position - unit.position - unit.start, unit.count() - 1);
#pragma unroll
          for (int i = 0; i < 64; i++)
            if (i / 2 % 2 == half && i / 4 * 8 + quad * 2 + i % 2 > last) scores[i] = LOWEST;
        }
      }
      softmax.weigh(scores, scale);
    };
    auto round_weights = [&]() {  // while no product reads them
#pragma unroll
      for (int i = 0; i < 32; i++) weights[i] = to_bf16s(scores[2 * i], scores[2 * i + 1]);
    };
    auto sum_up = [&](const Ring<STAGES> &at, int count) {  // launches the products of a tile
      u32 values = v_at + at.stage * TILE_BYTES;
      wait_for(v_full + 8 * at.stage, at.round);
      if (count < TILE) {  // 0 times what lies there might not be 0
        for (int i = count * LINE / 8 + thread; i < TILE * LINE / 8; i += 128)
          for (int part = 0; part < PARTS; part++)
            asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(values + part * PART_BYTES +
                                                                          i * 16),
                         "r"(0)
                         : "memory");
        publish_shared();
        asm volatile("bar.sync %0, 128;" ::"r"(1 + worker) : "memory");
      }
      // keys lie behind one another, lines of the next part a part away
      u64 v = (matrix_at(values) & ~((u64)0x3fff << 16)) | (u64)(PART_BYTES >> 4) << 16;
      begin_products();
#pragma unroll
      for (int i = 0; i < TILE / 16; i++) multiply(sums, weights + 4 * i, v + i * (16 * LINE * 2 / 16));
      end_products();
    };

    wait_for(q_full + 8 * q_ring.stage, q_ring.round);
    unit.next();
    score();
    wait_for_products<0>();
    pin(scores);
    weigh();
    round_weights();
    Ring<STAGES> before = ring;
    int count = unit.count();
    ring.next();
    while (unit.next()) {
      score();
      sum_up(before, count);
      wait_for_products<1>();
      pin(scores);
      weigh();
      wait_for_products<0>();
      pin(sums);
      if (thread == 0) arrive(v_empty + 8 * before.stage);
      softmax.fade_out(sums);
      round_weights();
      before = ring, count = unit.count();
      ring.next();
    }
    if (thread == 0) arrive(q_empty + 8 * q_ring.stage);
    sum_up(before, count);
    wait_for_products<0>();
    pin(sums);
    if (thread == 0) arrive(v_empty + 8 * before.stage);

#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = top + 8 * half, at = row / G;
      float share = 1 / quad_sum(softmax.total[half]);
      u16 *out = y + ((long long)(unit.first_row + at) * num_heads * G + unit.head * G + row % G) * D;
#pragma unroll
      for (int part = 0; part < D / 32; part++) {
        u32 words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float *x = sums + part * 16 + 4 * i + 2 * half;
          words[i] = to_bf16s(x[0] * share, x[1] * share);
        }
        turn(words, quad);
        if (at < unit.num_rows)
          *(uint4 *)(out + part * 32 + quad * 8) = make_uint4(words[0], words[1], words[2], words[3]);
      }
    }
  }
}
