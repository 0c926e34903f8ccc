// The number formats that networks read beside float.
#pragma once

#include <cstdint>

#include "support/float_bits.h"
#include "support/host_device.h"

namespace parlante {

/// IEEE 754 binary16.
struct Half {
  std::uint16_t bits;
};

/// To the nearest integer below 2^22, halves to even.
PARLANTE_HD float round_even(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

/// To the nearest half, ties to even; NaN stays NaN.
PARLANTE_HD Half to_half(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Below 2^-14 a half counts in steps of 2^-24, which are those of a float at 1/2.
  const std::uint32_t small = float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f);
  const std::uint32_t odd = (magnitude >> 13) & 1;
  const std::uint32_t normal = (magnitude + 0xfffu + odd - (112u << 23)) >> 13;
  const std::uint32_t large = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  const std::uint32_t half = magnitude < 0x38800000u   ? small
                             : magnitude < 0x47800000u ? normal
                                                       : large;
  return {static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000u))};
}

/// ONNX's QuantizeLinear: x / scale to the nearest integer, ties to even, saturated; NaN is 0.
PARLANTE_HD std::uint8_t quantize(float x, float scale, float zero_point) {
  const float steps = x / scale;
  const float near = steps > -256.0f ? (steps < 256.0f ? steps : 256.0f) : -256.0f;
  const float byte = round_even(near) + zero_point;
  return static_cast<std::uint8_t>(byte > 0.0f ? (byte < 255.0f ? byte : 255.0f) : 0.0f);
}

}  // namespace parlante
