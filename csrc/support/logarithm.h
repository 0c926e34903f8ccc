// The natural logarithm with the same bits on every device; a libm's last bit differs by platform.
#pragma once

#include <cstdint>

#include "support/float_bits.h"
#include "support/host_device.h"
#include "support/rounding.h"

namespace parlante {

/// ln(x) of a positive normal number, within 2 units in the last place: the polynomial of logf in
/// the Cephes library (S. Moshier).
PARLANTE_HD float natural_log(float x) {
  const std::uint32_t bits = float_bits(x);
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)).
  constexpr std::uint32_t kSqrtHalf = 0x3f3504f3;
  const std::int32_t e = static_cast<std::int32_t>(bits - kSqrtHalf) >> 23;
  const float t = bits_float(bits - (static_cast<std::uint32_t>(e) << 23)) - 1.0f;
  const float e_float = static_cast<float>(e);
  const float t2 = multiply(t, t);
  float y = 7.0376836292e-2f;
  y = multiply_add(y, t, -1.1514610310e-1f);
  y = multiply_add(y, t, 1.1676998740e-1f);
  y = multiply_add(y, t, -1.2420140846e-1f);
  y = multiply_add(y, t, 1.4249322787e-1f);
  y = multiply_add(y, t, -1.6668057665e-1f);
  y = multiply_add(y, t, 2.0000714765e-1f);
  y = multiply_add(y, t, -2.4999993993e-1f);
  y = multiply_add(y, t, 3.3333331174e-1f);
  y = multiply(multiply(y, t), t2);
  // ln 2 in two parts: the large one times an exponent is exact.
  y = multiply_add(e_float, -2.12194440e-4f, y);
  y = multiply_add(t2, -0.5f, y);
  return multiply_add(e_float, 0.693359375f, t + y);
}

}  // namespace parlante
