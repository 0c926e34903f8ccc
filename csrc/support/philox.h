// Counter-based standard normals with the same bits on every device.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) feeds
// Box-Muller. Sine and cosine are the polynomials of the Cephes library (S. Moshier) in single
// precision, evaluated with IEEE + and * only (rounding.h), as the logarithm is.
#pragma once

#include <cstdint>

#include "support/float_bits.h"
#include "support/host_device.h"
#include "support/logarithm.h"
#include "support/rounding.h"

namespace parlante {

struct PhiloxWords {
  std::uint32_t w0, w1, w2, w3;
};

/// Four random words for a counter and a 64-bit key.
PARLANTE_HD PhiloxWords philox4x32(PhiloxWords counter, std::uint64_t key) {
  std::uint32_t key_lo = static_cast<std::uint32_t>(key);
  std::uint32_t key_hi = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter.w0;
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter.w2;
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter.w1 ^ key_lo,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter.w3 ^ key_hi,
               static_cast<std::uint32_t>(product0)};
    key_lo += 0x9E3779B9u;
    key_hi += 0xBB67AE85u;
  }
  return counter;
}

struct SineCosine {
  float sine, cosine;
};

/// Sine and cosine of u / 2^24 of a turn, u < 2^24.
PARLANTE_HD SineCosine sine_cosine_of_24_bits(std::uint32_t u) {
  const std::uint32_t quadrant = (u + (1u << 21)) >> 22;
  const std::int32_t rest = static_cast<std::int32_t>(u - (quadrant << 22));  // an eighth of a turn
  const float x = multiply(static_cast<float>(rest), 3.7450702829e-7f);       // 2 pi / 2^24
  const float xx = multiply(x, x);
  float sine = -1.9515295891e-4f;
  sine = multiply_add(sine, xx, 8.3321608736e-3f);
  sine = multiply_add(sine, xx, -1.6666654611e-1f);
  sine = multiply_add(multiply(sine, xx), x, x);
  float cosine = 2.443315711809948e-5f;
  cosine = multiply_add(cosine, xx, -1.388731625493765e-3f);
  cosine = multiply_add(cosine, xx, 4.166664568298827e-2f);
  cosine = multiply_add(multiply(cosine, xx), xx, multiply_add(xx, -0.5f, 1.0f));
  const bool odd = quadrant & 1;
  const std::uint32_t sine_sign = (quadrant & 2) << 30;
  const std::uint32_t cosine_sign = ((quadrant + 1) & 2) << 30;
  return {bits_float(float_bits(odd ? cosine : sine) ^ sine_sign),
          bits_float(float_bits(odd ? sine : cosine) ^ cosine_sign)};
}

struct Normals {
  float n0, n1, n2;
};

/// ln(u * 2^-24) for u in 1..2^24.
PARLANTE_HD float log_of_24_bits(std::uint32_t u) {
  return natural_log(static_cast<float>(static_cast<std::int32_t>(u)) * 0x1p-24f);
}

/// Three independent standard normals for a pixel of a step. Uniforms have 24 bits: |n| < 5.77.
PARLANTE_HD Normals philox_normals(std::uint32_t pixel, std::uint32_t step, std::uint64_t seed) {
  const PhiloxWords words = philox4x32({pixel, step, 0, 0}, seed);
  const float radius0 = square_root(multiply(-2.0f, log_of_24_bits((words.w0 >> 8) + 1)));
  const float radius1 = square_root(multiply(-2.0f, log_of_24_bits((words.w2 >> 8) + 1)));
  const SineCosine angle0 = sine_cosine_of_24_bits(words.w1 >> 8);
  const SineCosine angle1 = sine_cosine_of_24_bits(words.w3 >> 8);
  return {multiply(radius0, angle0.cosine), multiply(radius0, angle0.sine),
          multiply(radius1, angle1.cosine)};
}

}  // namespace parlante
