// Many rows times the weights of a gate and of what it gates, y = silu(x G^T) * (x U^T), on Hopper's
// tensor cores: the products of an MLP's first half, and nothing passed over twice.
//
// x [M, K], W [2N, K] (G, then U), y [M, N], all bf16, sums in fp32. K and N are multiples of 8.
// One block a multiprocessor goes over tiles of y. A warp group has the copy engine fetch steps of x
// and W into a ring of STAGES in shared memory; two others multiply 64 rows each. The two blocks of
// a cluster take tiles below one another: each fetches half of W's part for both.
// Rows of G and U lie in shared memory by turns, eight by eight, so that a thread's sums hold each
// gate and what it gates.

#include "hopper.cuh"

constexpr int ROWS = 128, WIDTH = 128, STEP = 64;  // of a tile of y, and of k
constexpr int X_BYTES = ROWS * STEP * 2, W_BYTES = 2 * WIDTH * STEP * 2;
constexpr int STAGE_BYTES = X_BYTES + W_BYTES;
constexpr int CLUSTER = 2, WORKERS = 2;
constexpr int BAND = 8;  // pairs of tiles below one another that are gone through together

__device__ void arrive_at(u32 barrier, u32 block) {  // the same barrier of a block of the cluster
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(barrier),
      "r"(block)
      : "memory");
}

__device__ void fetch(u32 to, const TensorMap &map, u32 barrier, int k, int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%3, %4}], [%2];" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(k), "r"(row)
      : "memory");
}

// into all blocks of the cluster; `row` is of y's columns
__device__ void fetch_for_all(u32 to, const TensorMap &map, u32 barrier, int k, int row) {
  constexpr u16 all = (1 << CLUSTER) - 1;
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%3, %5, %5, %4}], [%2], %6;" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(k), "r"(row / 8), "r"(0), "h"(all)
      : "memory");
}

__device__ void wait_for_cluster() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

// sums [64, 256] (+)= x [64, 16] w [256, 16]^T
__device__ void multiply(float (&sums)[128], u64 x, u64 w, int adds) {
  asm volatile(
      "{\n.reg .pred adds;\nsetp.ne.b32 adds, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "
      "%111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, "
      "%125, %126, %127}, %128, %129, adds, 1, 1, 0, 0;\n}"
      : SUMS64(0), SUMS64(64)
      : "l"(x), "l"(w), "r"(adds));
}

// Tiles in the order in which they are gone through: bands of BAND pairs of tiles, column by column,
// so that what runs at one time shares rows of x and of W.
struct Tiles {
  int pairs, columns;

  __device__ Tiles(int M, int N)
      : pairs((M + ROWS * CLUSTER - 1) / (ROWS * CLUSTER)), columns((N + WIDTH - 1) / WIDTH) {}

  __device__ int count() const { return pairs * columns; }

  __device__ void find(int index, int block, int &row, int &column) const {
    int band = index / (BAND * columns), rest = index % (BAND * columns);
    int height = min(BAND, pairs - band * BAND);
    row = ((band * BAND + rest % height) * CLUSTER + block) * ROWS;
    column = rest / height * WIDTH;
  }
};

__device__ float gated(float gate, float up) { return __fdividef(gate, 1 + __expf(-gate)) * up; }

// Eight columns of a row that lie together, of the 32 that four threads have sums of.
struct Eight {
  u32 words[4];

  __device__ Eight(const float *sums, int quad) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float *x = sums + 8 * i;
      words[i] = to_bf16s(gated(x[0], x[4]), gated(x[1], x[5]));
    }
    turn(words, quad);
  }

  __device__ void store(u16 *at) const {
    *(uint4 *)at = make_uint4(words[0], words[1], words[2], words[3]);
  }
};

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(128 * (1 + WORKERS), 1)
    gated_linear(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap w, u16 *y,
                 int M, int N, int K) {
  extern __shared__ char memory[];
  __shared__ u64 barriers[2][STAGES];
  u32 ring_at = (shared_address(memory) + 1023) / 1024 * 1024;
  u32 full = shared_address(barriers[0]), empty = shared_address(barriers[1]);
  u32 block;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(block));
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < STAGES; stage++) {
      init_barrier(full + 8 * stage, 1);
      init_barrier(empty + 8 * stage, CLUSTER * WORKERS);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  wait_for_cluster();

  Tiles tiles(M, N);
  int first = blockIdx.x / CLUSTER, stride = gridDim.x / CLUSTER;
  int row, column;
  Ring<STAGES> ring;
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 0)
      for (int tile = first; tile < tiles.count(); tile += stride) {
        tiles.find(tile, block, row, column);
        for (int k = 0; k < K; k += STEP, ring.next()) {
          u32 barrier = full + 8 * ring.stage, to = ring_at + ring.stage * STAGE_BYTES;
          wait_for(empty + 8 * ring.stage, ring.round ^ 1);
          expect_bytes(barrier, STAGE_BYTES);
          fetch(to, x, barrier, k, row);
          fetch_for_all(to + X_BYTES + block * (W_BYTES / CLUSTER), w, barrier, k,
                        column + block * (WIDTH / CLUSTER));
        }
      }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    int worker = threadIdx.x / 128 - 1, thread = threadIdx.x % 128, quad = thread % 4;
    for (int tile = first; tile < tiles.count(); tile += stride) {
      tiles.find(tile, block, row, column);
      float sums[128];
      u32 before = 0;  // the barrier of the step before
      for (int k = 0; k < K; k += STEP, ring.next()) {
        u32 at = ring_at + ring.stage * STAGE_BYTES;
        u64 x_at = matrix_at(at + worker * (X_BYTES / WORKERS)), w_at = matrix_at(at + X_BYTES);
        wait_for(full + 8 * ring.stage, ring.round);
        begin_products();
#pragma unroll
        for (int i = 0; i < STEP / 16; i++)
          multiply(sums, x_at + 2 * i, w_at + 2 * i, k + i > 0);
        end_products();
        wait_for_products<1>();
        if (before && thread < CLUSTER) arrive_at(before, thread);
        before = empty + 8 * ring.stage;
      }
      int top = row + worker * 64 + thread / 32 * 16 + thread % 32 / 4, left = column + quad * 8;
      u16 *at = y + top * (long long)N + left;
      wait_for_products<0>();
      pin(sums);
      if (thread < CLUSTER) arrive_at(before, thread);
#pragma unroll
      for (int half = 0; half < 2; half++)
#pragma unroll
        for (int part = 0; part < WIDTH / 32; part++) {
          Eight out(sums + part * 32 + 2 * half, quad);
          if (top + half * 8 < M && left + part * 32 < N)
            out.store(at + half * 8 * (long long)N + part * 32);
        }
    }
  }
  // a block stays until the others no longer arrive at its barriers
  wait_for_cluster();
}
