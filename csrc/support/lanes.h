// Vectors of doubles and of floats, one value a lane, for code that computes several columns side
// by side. Where the compiler has no vector types there is one lane, and its vectors are numbers.
#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#include "support/host_device.h"

#if defined(__GNUC__) && !defined(PARLANTE_PORTABLE)
#define PARLANTE_VECTOR_TYPES 1
#else
#define PARLANTE_VECTOR_TYPES 0
#endif

namespace parlante {

template <std::size_t kLanes>
struct VectorTypes;

template <>
struct VectorTypes<1> {
  using Doubles = double;
  using Floats = float;
};

#if PARLANTE_VECTOR_TYPES
template <>
struct VectorTypes<2> {
  using Doubles [[gnu::vector_size(16)]] = double;
  using Floats [[gnu::vector_size(8)]] = float;
};

template <>
struct VectorTypes<4> {
  using Doubles [[gnu::vector_size(32)]] = double;
  using Floats [[gnu::vector_size(16)]] = float;
};

template <>
struct VectorTypes<8> {
  using Doubles [[gnu::vector_size(64)]] = double;
  using Floats [[gnu::vector_size(32)]] = float;
};

template <>
struct VectorTypes<16> {
  using Doubles [[gnu::vector_size(128)]] = double;
  using Floats [[gnu::vector_size(64)]] = float;
};
#endif

/// Moves between memory and lanes. Vectors pass by reference: how they pass by value depends on the
/// instructions.
template <std::size_t kLanes>
class Lanes {
 public:
  using Doubles = typename VectorTypes<kLanes>::Doubles;
  using Floats = typename VectorTypes<kLanes>::Floats;

  PARLANTE_HD static void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }
  PARLANTE_HD static void store(const Floats& from, float* to) {
    std::memcpy(to, &from, sizeof from);
  }

  PARLANTE_HD static void widen(const float* from, Doubles& to) { widen(from, to, Indices()); }
  PARLANTE_HD static void narrow(const Doubles& from, Floats& to) { narrow(from, to, Indices()); }

  /// Transposes a square of values: exchanges its off-diagonal quarters, then those of each
  /// quarter.
  template <std::size_t kStep = kLanes / 2>
  PARLANTE_HD static void transpose([[maybe_unused]] Floats (&rows)[kLanes]) {
    if constexpr (kStep > 0) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        if (i & kStep) {
          continue;
        }
        exchange<kStep>(rows[i], rows[i + kStep], Indices());
      }
      transpose<kStep / 2>(rows);
    }
  }

 private:
  using Indices = std::make_index_sequence<kLanes>;

  // __builtin_convertvector would do, but GCC 12 converts by halves.
  template <std::size_t... kLane>
  PARLANTE_HD static void widen(const float* from, Doubles& to, std::index_sequence<kLane...>) {
    to = Doubles{from[kLane]...};
  }
  template <std::size_t... kLane>
  PARLANTE_HD static void narrow(const Doubles& from, Floats& to, std::index_sequence<kLane...>) {
    if constexpr (kLanes == 1) {
      to = static_cast<float>(from);
    } else {
      to = Floats{static_cast<float>(from[kLane])...};
    }
  }

  // One lane has nothing to exchange.
  template <std::size_t kStep, std::size_t... kLane>
  PARLANTE_HD static void exchange([[maybe_unused]] Floats& a, [[maybe_unused]] Floats& b,
                                   std::index_sequence<kLane...>) {
#if PARLANTE_VECTOR_TYPES
    const Floats first = __builtin_shufflevector(
        a, b, static_cast<int>(kLane & kStep ? kLanes + kLane - kStep : kLane)...);
    b = __builtin_shufflevector(
        a, b, static_cast<int>(kLane & kStep ? kLanes + kLane : kLane + kStep)...);
    a = first;
#endif
  }
};

}  // namespace parlante
