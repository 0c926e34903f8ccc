// Neighbouring pixels, moved in the widest words their alignment allows.
#pragma once

#include <cstdint>

namespace parlante {

/// A multiple of four floats from a 16-byte boundary.
template <int kCount>
__device__ __forceinline__ void load_floats(const float* from, float (&values)[kCount]) {
  static_assert(kCount % 4 == 0);
  const float4* words = reinterpret_cast<const float4*>(from);
#pragma unroll
  for (int i = 0; i < kCount / 4; ++i) {
    const float4 word = __ldg(words + i);
    values[4 * i] = word.x;
    values[4 * i + 1] = word.y;
    values[4 * i + 2] = word.z;
    values[4 * i + 3] = word.w;
  }
}

/// Twelve bytes from a 4-byte boundary.
__device__ __forceinline__ void load_twelve(const std::uint8_t* from, std::uint8_t* values) {
  const std::uint32_t* words = reinterpret_cast<const std::uint32_t*>(from);
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t word = __ldg(words + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      values[4 * i + k] = static_cast<std::uint8_t>(word >> (8 * k));
    }
  }
}

/// Four bytes as one word, the first lowest.
__device__ __forceinline__ std::uint32_t join_bytes(std::uint8_t a, std::uint8_t b, std::uint8_t c,
                                                    std::uint8_t d) {
  return a | static_cast<std::uint32_t>(b) << 8 | static_cast<std::uint32_t>(c) << 16 |
         static_cast<std::uint32_t>(d) << 24;
}

}  // namespace parlante
