#include "support/finite.h"

#include <bit>
#include <cstdint>

#include "support/isa.h"

namespace parlante {
namespace {

bool is_finite(float sample) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  return (std::bit_cast<std::uint32_t>(sample) & kExponent) != kExponent;
}

PARLANTE_LOOP bool all_finite_loop(const float* samples, std::size_t count) {
  unsigned finite = 1;
  for (std::size_t i = 0; i < count; ++i) {
    finite &= is_finite(samples[i]);  // no exit: vectorises
  }
  return finite != 0;
}
constexpr PerIsa<all_finite_loop> all_finite;

}  // namespace

std::size_t first_non_finite(std::span<const float> samples) {
  if (all_finite(samples.data(), samples.size())) {
    return samples.size();
  }
  std::size_t index = 0;
  while (is_finite(samples[index])) {
    ++index;
  }
  return index;
}

}  // namespace parlante
