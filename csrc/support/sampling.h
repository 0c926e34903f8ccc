// What pack and compose share: bilinear sampling and the matte over the plate.
// Colours are in 0..255 until pack scales them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "support/host_device.h"
#include "support/views.h"

namespace parlante {

/// Between neighbours a and b; exactly a at t = 0.
PARLANTE_HD float lerp(float a, float b, float t) { return a + t * (b - a); }

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

struct Rgba {
  float r, g, b, a;
};

PARLANTE_HD Rgba lerp(const Rgba& a, const Rgba& b, float t) {
  return {lerp(a.r, b.r, t), lerp(a.g, b.g, t), lerp(a.b, b.b, t), lerp(a.a, b.a, t)};
}

/// Texel `index` of an RGBA image.
PARLANTE_HD std::uint32_t load_texel(const std::uint8_t* image, int index) {
#if defined(__CUDA_ARCH__)
  return reinterpret_cast<const std::uint32_t*>(image)[index];  // device images are 4-aligned
#else
  std::uint32_t texel;
  std::memcpy(&texel, image + static_cast<std::ptrdiff_t>(index) * 4, sizeof texel);
  return texel;
#endif
}

static_assert(std::endian::native == std::endian::little, "texels are read as r + (g << 8) + ...");

template <int Shift>
PARLANTE_HD float channel_of(std::uint32_t texel) {
  return static_cast<float>(static_cast<std::int32_t>((texel >> Shift) & 0xff));
}

template <int Shift>
PARLANTE_HD float lerp_channel(std::uint32_t t00, std::uint32_t t01, std::uint32_t t10,
                               std::uint32_t t11, float tx, float ty) {
  return lerp(lerp(channel_of<Shift>(t00), channel_of<Shift>(t01), tx),
              lerp(channel_of<Shift>(t10), channel_of<Shift>(t11), tx), ty);
}

/// Bilinear sample of an image [rows, columns, 4] of straight RGBA, clamped to its edge.
PARLANTE_HD Rgba sample_rgba(const ImageView<const std::uint8_t>& view, float x, float y) {
  const std::uint8_t* image = view.data;
  const Tap tap_x = clamped_tap(x, view.columns);
  const Tap tap_y = clamped_tap(y, view.rows);
  const int top = tap_y.first * view.columns;
  const int bottom = tap_y.second * view.columns;
  const std::uint32_t t00 = load_texel(image, top + tap_x.first);
  const std::uint32_t t01 = load_texel(image, top + tap_x.second);
  const std::uint32_t t10 = load_texel(image, bottom + tap_x.first);
  const std::uint32_t t11 = load_texel(image, bottom + tap_x.second);
  return {lerp_channel<0>(t00, t01, t10, t11, tap_x.t, tap_y.t),
          lerp_channel<8>(t00, t01, t10, t11, tap_x.t, tap_y.t),
          lerp_channel<16>(t00, t01, t10, t11, tap_x.t, tap_y.t),
          lerp_channel<24>(t00, t01, t10, t11, tap_x.t, tap_y.t)};
}

inline constexpr float kAlphaScale = 1.0f / 255.0f;

/// A colour of alpha 0..255 over another.
PARLANTE_HD float over(float color, float alpha, float below) {
  return lerp(below, color, alpha * kAlphaScale);
}

}  // namespace parlante
