// PARLANTE_HD marks a per-element body that the CPU loop and the CUDA kernel share. Inlined by
// force, so that each level of a CPU loop (isa.h) compiles it for its own instructions.
#pragma once

#if defined(__CUDACC__)
#define PARLANTE_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define PARLANTE_HD inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define PARLANTE_HD __forceinline
#else
#define PARLANTE_HD inline
#endif
