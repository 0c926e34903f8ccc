// What a harness makes of libFuzzer's bytes: numbers, and arrays that end where their memory does.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

#include "support/isa.h"

namespace parlante::fuzz {

/// Caller-owned memory as NumPy has it: never null, even where it is empty.
template <class T>
struct Array {
  explicit Array(std::size_t count) : size(count), values(new T[count]{}) {}
  Array(const Array& other) : Array(other.size) {
    std::copy_n(other.values.get(), size, values.get());
  }
  T* data() const { return values.get(); }
  std::span<T> span() const { return {values.get(), size}; }

  std::size_t size;
  std::unique_ptr<T[]> values;
};

/// Reads the bytes in order; after the last, numbers that only depend on how many there were.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size), state_(size + 1) {}

  std::uint8_t byte() {
    if (place_ < size_) {
      return data_[place_++];
    }
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return static_cast<std::uint8_t>(state_ >> 24);
  }

  template <class T>
  T bits() {
    std::uint8_t bytes[sizeof(T)];
    for (std::uint8_t& one : bytes) {
      one = byte();
    }
    return std::bit_cast<T>(bytes);
  }

  bool chance() { return byte() % 2 != 0; }

  /// Mostly one, for others cost time.
  int threads() { return byte() % 16 == 1 ? 3 : 1; }

  /// low..high, which lie less than 2^16 apart.
  int whole(int low, int high) { return low + bits<std::uint16_t>() % (high - low + 1); }

  /// Mostly low..high; or anything, NaN and infinities among it.
  float number(float low, float high) { return number_of(byte() % kKinds, low, high); }

  /// Numbers of one kind.
  Array<float> floats(std::size_t count, float low, float high) {
    const int kind = byte() % kKinds;
    Array<float> array(count);
    for (float& value : array.span()) {
      value = number_of(kind, low, high);
    }
    return array;
  }

  /// Samples as the bindings let them through.
  Array<float> finite_floats(std::size_t count) {
    Array<float> array = floats(count, -1.0f, 1.0f);
    for (float& value : array.span()) {
      value = std::isfinite(value) ? value : 0.0f;
    }
    return array;
  }

  Array<std::uint8_t> bytes(std::size_t count) {
    Array<std::uint8_t> array(count);
    for (std::uint8_t& value : array.span()) {
      value = byte();
    }
    return array;
  }

 private:
  static constexpr int kKinds = 4;  // within, any bits, within but for some special ones, constant

  float number_of(int kind, float low, float high) {
    constexpr float kSpecial[] = {std::numeric_limits<float>::quiet_NaN(),
                                  std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::max(),
                                  std::numeric_limits<float>::lowest(),
                                  std::numeric_limits<float>::denorm_min(),
                                  -0.0f,
                                  2147483648.0f};
    if (kind == 1) {
      return bits<float>();
    }
    const std::uint8_t step = kind == 3 ? 255 : byte();
    if (kind == 2 && step < std::size(kSpecial)) {
      return kSpecial[step];
    }
    return low + (high - low) * (static_cast<float>(step) / 255.0f);
  }

  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t place_ = 0;
  std::uint64_t state_;
};

template <class T>
bool same(const Array<T>& a, const Array<T>& b) {
  if (a.size != b.size) {
    return false;
  }
  for (std::size_t i = 0; i < a.size; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(a.values[i]) && std::isnan(b.values[i])) {
        continue;
      }
    }
    if (std::memcmp(&a.values[i], &b.values[i], sizeof(T)) != 0) {
      return false;
    }
  }
  return true;
}

/// Ends the process, which libFuzzer reports, where the op's promise is not kept.
inline void require(bool kept) {
  if (!kept) {
    std::abort();
  }
}

/// What `run` gives at a level of instructions, which has to be the bits of the weakest one. `run`
/// may throw what a binding translates, then it gives no array.
template <class Run>
void require_same_at_levels(Input& input, const Run& run) {
  const auto levels = isa_levels();
  const Isa level = levels[input.byte() % levels.size()];
  set_isa_level(levels.front());
  const auto expected = run();
  if (level != levels.front()) {
    set_isa_level(level);
    require(same(expected, run()));
  }
}

}  // namespace parlante::fuzz

/// What libFuzzer calls.
#define PARLANTE_FUZZ(harness)                                                        \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    parlante::fuzz::Input input(data, size);                                          \
    harness(input);                                                                   \
    return 0;                                                                         \
  }
