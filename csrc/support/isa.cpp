#include "support/isa.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace parlante {
namespace {

constexpr Isa kLevels[] = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512};

/// How many of kLevels the CPU can run. The features are those of PerIsa's functions; the system
/// has to save their registers, which the compiler's check looks at, too.
std::size_t count_levels() {
#if PARLANTE_X86_LEVELS
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2")) {
    return 1;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl")) {
    return 2;
  }
  return 3;
#else
  return 1;
#endif
}

}  // namespace

namespace detail {
std::atomic<Isa> isa_level{isa_levels().back()};
}

std::span<const Isa> isa_levels() {
  static const std::size_t count = count_levels();
  return std::span(kLevels).first(count);
}

const char* isa_name(Isa level) {
  switch (level) {
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    default:
      return "baseline";
  }
}

void set_isa_level(Isa level) {
  const auto levels = isa_levels();
  if (std::find(levels.begin(), levels.end(), level) == levels.end()) {
    throw std::invalid_argument(std::string("isa: this CPU or build does not offer ") +
                                isa_name(level));
  }
  detail::isa_level.store(level, std::memory_order_relaxed);
}

}  // namespace parlante
