// A float's bits and back, on every device.
#pragma once

#include <cstdint>
#include <cstring>

#include "support/host_device.h"

namespace parlante {

PARLANTE_HD std::uint32_t float_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

PARLANTE_HD float bits_float(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace parlante
