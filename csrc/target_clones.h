// PARLANTE_TARGET_CLONES compiles a hot loop once per x86-64 level; the loader picks the clone when
// the module is loaded. Contraction is off, so the clones return the same bits. Other compilers and
// C libraries without ifunc get the baseline build (on AArch64 that is NEON already).
// The levels test for features; names such as arch=haswell would test for Intel's own models.
#pragma once

#include <cstddef>  // defines __GLIBC__ where there is one

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__CUDACC__) && !defined(PARLANTE_NO_TARGET_CLONES)
#define PARLANTE_TARGET_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PARLANTE_TARGET_CLONES
#endif
