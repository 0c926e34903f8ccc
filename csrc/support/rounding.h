// Float arithmetic that rounds after every operation on every device: never contracted to fused
// multiply-adds, whatever flags a kernel is built with.
#pragma once

#include <cmath>

#include "support/host_device.h"

namespace parlante {

PARLANTE_HD float multiply(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

/// a * b + c, rounded twice.
PARLANTE_HD float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(__fmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}

PARLANTE_HD float square_root(float x) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}

}  // namespace parlante
