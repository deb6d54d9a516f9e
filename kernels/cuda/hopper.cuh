// What kernels for Hopper have in common: the copy engine, barriers in shared memory, matrices that
// the tensor cores read from there, and how the threads of a quad hold their results.

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

struct alignas(64) TensorMap {
  char bytes[128];
};

__device__ u32 shared_address(const void *at) { return (u32)__cvta_generic_to_shared(at); }

__device__ void init_barrier(u32 barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count));
}

__device__ void expect_bytes(u32 barrier, int count) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(count)
               : "memory");
}

__device__ void wait_for(u32 barrier, u32 parity) {
  asm volatile(
      "{\n.reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// the tensor cores and the copy engine see what threads have written to shared memory before
__device__ void publish_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// of rows of 128 bytes, swizzled by the copy engine, eight of them 1024 bytes from the next eight
__device__ u64 matrix_at(u32 address) {
  return (u64)((address & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

// Products are launched in groups between these two; the sums are theirs until they are waited for.
__device__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int GROUPS>  // that may still run
__device__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(GROUPS) : "memory");
}

// what comes after reads the sums after what came before
template <int COUNT>
__device__ void pin(float (&sums)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) asm volatile("" : "+f"(sums[i])::"memory");
}

#define SUMS4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define SUMS16(i) SUMS4(i), SUMS4(i + 4), SUMS4(i + 8), SUMS4(i + 12)
#define SUMS64(i) SUMS16(i), SUMS16(i + 16), SUMS16(i + 32), SUMS16(i + 48)

// Where a thread is in a ring of SIZE stages: the stage, and the parity of the rounds.
template <int SIZE>
struct Ring {
  int stage = 0;
  u32 round = 0;

  __device__ void next() {
    if (++stage == SIZE) stage = 0, round ^= 1;
  }
};

// Of the four threads of a quad, thread t has words[t] of all: x[i] of thread t becomes x[t] of i.
template <typename Word>
__device__ void turn(Word (&x)[4], int quad) {
  constexpr u32 ALL = 0xffffffffu;
#pragma unroll
  for (int apart = 1; apart < 4; apart *= 2)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (i & apart) continue;
      bool is_high = quad & apart;
      Word got = __shfl_xor_sync(ALL, is_high ? x[i] : x[i | apart], apart);
      if (is_high) x[i] = got;
      else x[i | apart] = got;
    }
}

__device__ u32 to_bf16s(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

