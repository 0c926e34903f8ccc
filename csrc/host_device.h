// Macros that let one source serve the C++ compiler's CPU loops and the CUDA compiler's kernels.
#pragma once

#include <cstdint>  // also defines __GLIBC__ where there is one

// PARLANTE_HD: a per-element body. Inlined by force, so that each clone of a CPU loop (below)
// compiles it for its own instruction set.
#if defined(__CUDACC__)
#define PARLANTE_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define PARLANTE_HD inline __attribute__((always_inline))
#else
#define PARLANTE_HD inline
#endif

// PARLANTE_CLONES: a CPU loop compiled for x86-64, AVX2 and AVX-512; the loader picks one. None of
// them contracts a*b+c (the build sets -ffp-contract=off), so all give the same bits. Needs GCC
// and glibc's ifunc; elsewhere (NEON is arm64's baseline) the loop is compiled once. Sanitizers
// instrument the resolver before they are ready for it.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && defined(__x86_64__) && \
    defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PARLANTE_CLONES \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define PARLANTE_CLONES
#endif
