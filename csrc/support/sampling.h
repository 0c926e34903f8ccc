// What pack and compose share: bilinear sampling. Colours are in 0..255 until pack scales them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "support/host_device.h"
#include "support/views.h"

namespace parlante {

/// Between neighbours a and b; exactly a at t = 0.
PARLANTE_HD float lerp(float a, float b, float t) { return a + t * (b - a); }

/// Between two neighbours a, b of a row and c, d of the next one.
PARLANTE_HD float lerp_of_4(float a, float b, float c, float d, float tx, float ty) {
  return lerp(lerp(a, b, tx), lerp(c, d, tx), ty);
}

/// Two neighbours on an axis and the weight of the second.
struct Tap {
  int first;
  int second;
  float t;
};

/// Clamps the coordinate to the pixel centres 0..size-1; NaN becomes 0.
PARLANTE_HD Tap clamped_tap(float coordinate, int size) {
  const float last = static_cast<float>(size - 1);
  const float clamped = coordinate > 0.0f ? (coordinate < last ? coordinate : last) : 0.0f;
  const int first = static_cast<int>(clamped);
  return {first, first + (first + 1 < size ? 1 : 0), clamped - static_cast<float>(first)};
}

/// The same with the next pixel as the second one always: at the last pixel t is 1. One pixel alone
/// is its own neighbour.
PARLANTE_HD Tap next_tap(float coordinate, int size) {
  const float last = static_cast<float>(size - 1);
  const float clamped = coordinate > 0.0f ? (coordinate < last ? coordinate : last) : 0.0f;
  const int whole = static_cast<int>(clamped);
  const int first = size > 1 && whole == size - 1 ? size - 2 : whole;
  return {first, first + (size > 1 ? 1 : 0), clamped - static_cast<float>(first)};
}

struct Rgba {
  float r, g, b, a;
};

PARLANTE_HD Rgba lerp(const Rgba& a, const Rgba& b, float t) {
  return {lerp(a.r, b.r, t), lerp(a.g, b.g, t), lerp(a.b, b.b, t), lerp(a.a, b.a, t)};
}

/// Two texels of an RGBA image, the first of them in the lower half.
PARLANTE_HD std::uint64_t load_texels(const std::uint8_t* image, int first,
                                      [[maybe_unused]] int second) {
#if defined(__CUDA_ARCH__) || defined(PARLANTE_EMULATED)
  // Device images are aligned, and may have a single column.
  const auto* texels = reinterpret_cast<const std::uint32_t*>(image);
  return texels[first] | static_cast<std::uint64_t>(texels[second]) << 32;
#else
  std::uint64_t texels;  // in one word: gathering words takes half the time
  std::memcpy(&texels, image + static_cast<std::ptrdiff_t>(first) * 4, sizeof texels);
  return texels;
#endif
}

static_assert(std::endian::native == std::endian::little, "texels are read as r + (g << 8) + ...");

template <int Shift>
PARLANTE_HD float channel_of(std::uint32_t texel) {
  return static_cast<float>(static_cast<std::int32_t>((texel >> Shift) & 0xff));
}

template <int Shift>
PARLANTE_HD float lerp_channel(std::uint64_t top, std::uint64_t bottom, float tx, float ty) {
  const auto first = [](std::uint64_t texels) {
    return channel_of<Shift>(static_cast<std::uint32_t>(texels));
  };
  const auto second = [](std::uint64_t texels) {
    return channel_of<Shift>(static_cast<std::uint32_t>(texels >> 32));
  };
  return lerp_of_4(first(top), second(top), first(bottom), second(bottom), tx, ty);
}

/// Bilinear sample of an image [rows, columns, 4] of straight RGBA, clamped to its edge. On the CPU
/// it has two columns at least (two_columns.h).
PARLANTE_HD Rgba sample_rgba(const ImageView<const std::uint8_t>& view, float x, float y) {
  const std::uint8_t* image = view.data;
  const Tap tap_x = next_tap(x, view.columns);
  const Tap tap_y = clamped_tap(y, view.rows);
  const int row = tap_y.first * view.columns;
  const int next_row = tap_y.second * view.columns;
  const std::uint64_t top = load_texels(image, row + tap_x.first, row + tap_x.second);
  const std::uint64_t bottom = load_texels(image, next_row + tap_x.first, next_row + tap_x.second);
  return {lerp_channel<0>(top, bottom, tap_x.t, tap_y.t),
          lerp_channel<8>(top, bottom, tap_x.t, tap_y.t),
          lerp_channel<16>(top, bottom, tap_x.t, tap_y.t),
          lerp_channel<24>(top, bottom, tap_x.t, tap_y.t)};
}

inline constexpr float kAlphaScale = 1.0f / 255.0f;

}  // namespace parlante
