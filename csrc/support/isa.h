// Loops that are compiled for several levels of instructions, one of which runs.
//
//   PARLANTE_LOOP void add_rows_loop(const float* a, const float* b, int count, float* out) {
//     PARLANTE_INDEPENDENT
//     for (int i = 0; i < count; ++i) {
//       out[i] = a[i] + b[i];
//     }
//   }
//   constexpr PerIsa<add_rows_loop> add_rows;  // called as the loop is
//
// A loop calls PARLANTE_HD functions only: what is not inlined into it stays at the baseline.
// Contraction is off, so every level gives the same bits. The levels need GCC or Clang and ELF on
// x86-64; other compilers and systems get the baseline alone (on AArch64 that is NEON already).
#pragma once

#include <atomic>
#include <span>

#include "support/host_device.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__ELF__) && !defined(PARLANTE_PORTABLE)
#define PARLANTE_X86_LEVELS 1
#else
#define PARLANTE_X86_LEVELS 0
#endif

/// Marks a loop: inlined by force into the function of each level.
#define PARLANTE_LOOP PARLANTE_HD

/// Before a `for`: no iteration writes what another one reads or writes, so that it is vectorised
/// without a check. Iterations may write over what they have read themselves.
#if defined(PARLANTE_PORTABLE)
#define PARLANTE_INDEPENDENT
#elif defined(__clang__)
#define PARLANTE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PARLANTE_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define PARLANTE_INDEPENDENT __pragma(loop(ivdep))
#else
#define PARLANTE_INDEPENDENT
#endif

namespace parlante {

/// Levels of instructions, the weakest first.
enum class Isa { kBaseline, kAvx2, kAvx512 };

/// Those that this build holds and this CPU can run, the weakest first.
std::span<const Isa> isa_levels();

const char* isa_name(Isa level);

namespace detail {
extern std::atomic<Isa> isa_level;
}

/// The level that loops run at: the strongest there is, unless set_isa_level chose another.
inline Isa isa_level() { return detail::isa_level.load(std::memory_order_relaxed); }

/// For benchmarks and comparisons of the levels; of the whole process. Throws
/// std::invalid_argument for a level that is not among isa_levels().
void set_isa_level(Isa level);

/// A loop at every level: one function for all of them, or one of its own for a level and those
/// above it.
template <auto kBaseline, auto kAvx2 = kBaseline, auto kAvx512 = kAvx2>
class PerIsa;

template <class Result, class... Arguments, Result (*kBaseline)(Arguments...),
          Result (*kAvx2)(Arguments...), Result (*kAvx512)(Arguments...)>
class PerIsa<kBaseline, kAvx2, kAvx512> {
 public:
  using Function = Result (*)(Arguments...);

  Result operator()(Arguments... arguments) const { return at(isa_level())(arguments...); }

  /// The function of a level among isa_levels().
  Function at([[maybe_unused]] Isa level) const {
#if PARLANTE_X86_LEVELS
    return level == Isa::kAvx512 ? avx512 : level == Isa::kAvx2 ? avx2 : baseline;
#else
    return baseline;
#endif
  }

 private:
  static Result baseline(Arguments... arguments) { return kBaseline(arguments...); }

#if PARLANTE_X86_LEVELS
  __attribute__((target("avx2,bmi,bmi2"))) static Result avx2(Arguments... arguments) {
    return kAvx2(arguments...);
  }

  __attribute__((target("avx2,bmi,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"))) static Result
  avx512(Arguments... arguments) {
    return kAvx512(arguments...);
  }
#endif
};

}  // namespace parlante
