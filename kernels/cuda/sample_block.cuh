// What the threads of a block that has one row share: numbers in order, sums and maxima.

#pragma once

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define INF __int_as_float(0x7f800000)

constexpr int WARPS = THREADS / 32;
constexpr float FIXED = 0x1p40f;  // masses are whole numbers of 2^-40
constexpr u32 ALL = 0xffffffffu;

__device__ u64 fixed(float weight) { return (u64)(weight * FIXED); }

// a float as an integer of the same order
__device__ int ordered(float x) {
  int bits = __float_as_int(x);
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}

__device__ float from_ordered(int bits) {
  return __int_as_float(bits < 0 ? bits ^ 0x7fffffff : bits);
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
