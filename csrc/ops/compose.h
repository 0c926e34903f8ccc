// compose: the finished frame at the photo's own resolution, as 8-bit pixels.
//
// The source is warped at full size, so skin and hair keep the photo's detail. The network's
// residual, x0 - c, is added where the patches lie that it draws: pieces of one small image, the
// atlas, each the full width of it. Along edges, which the warp has a part of a pixel elsewhere, x0
// itself covers the warp. Everywhere else, and where x0 is c, a frame is the warp, bit for bit.
#pragma once

#include <cstdint>

#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/sampling.h"
#include "support/unshuffle.h"
#include "support/views.h"

namespace parlante {

enum class PixelFormat { kRgb, kBgr, kRgba, kNv12 };

enum class Backdrop {
  kPlate,  // the plate
  kColor,  // a plain colour
  kAlpha,  // none: straight (not premultiplied) colour, for a format with an alpha channel
};

struct Background {
  Backdrop kind;
  float red, green, blue;  // 0..255, of kColor
};

/// One frame of Ho x Wo pixels from a crop grid of H x W and an atlas of N tiles under one another,
/// each of 4h x 4w.
struct ComposeArguments {
  /// [Hs, Ws, 4] RGB and straight alpha, at the frame's scale; it may show more than the frame.
  ImageView<const std::uint8_t> source;
  /// Pixel of the source in which the frame's first one lies; the frame lies within the source.
  int left, top;
  /// [Ho, Wo, 3] background, not warped.
  ImageView<const std::uint8_t> plate;
  /// [H, W, 2] x, y of the source in pixels of the crop grid; beyond the grid where the source is.
  ImageView<const float> warp;
  /// [N, 48, h, w]. Its data may be null: there is no residual, and what follows is not read.
  TilesView<const float> x0;
  /// [N, >= 48, h, w]; its first 48 planes are c (unshuffle.h).
  TilesView<const float> condition;
  /// [N * 4h, 4w]: how far x0 covers the warp instead of adding to it, 0..1. Its data may be null:
  /// nowhere.
  TableView<const float> cover;
  /// [P, 2, 3], for each patch: x, y of the crop grid and 1 to u, v (column and row) of the atlas.
  ImageView<const float> places;
  /// [P, 2], for each patch: its first row of the atlas, and the row past its last one.
  TableView<const std::int32_t> bands;
  /// kRgb, kBgr: [Ho, Wo, 3]; kRgba: [Ho, Wo, 4], A is the warped matte; kNv12: [Ho * 3 / 2, Wo],
  /// BT.709, limited range, chroma sited in the middle of its four pixels; Ho and Wo even.
  std::uint8_t* out;
  PixelFormat format;
  Background background;
};

/// Composes a frame. Where patches overlap they add up. Throws std::invalid_argument on a band that
/// is not within the atlas.
void compose(const ComposeArguments& arguments, int threads);

/// The same in device memory, queued on `stream`. Arrays are aligned to 16 bytes. Patches with a
/// band that is not within the atlas are skipped.
void compose_cuda(const ComposeArguments& arguments, CudaStream stream);

/// Maps places along one axis to another: scale * x + offset.
struct GridMap {
  float scale;
  float offset;

  PARLANTE_HD float operator()(float x) const { return scale * x + offset; }
};

/// Of the pixel centres of one grid to another over the same square; exactly x for grids of the
/// same size. `shift` is added to what the map gives.
PARLANTE_HD GridMap grid_map(int from, int to, int shift = 0) {
  const float scale = static_cast<float>(to) / static_cast<float>(from);
  return {scale, 0.5f * scale - 0.5f + static_cast<float>(shift)};
}

/// The neighbours of a position on the crop grid. Past the outermost pixels t is negative, on both
/// sides: a warp is continued there, since it holds positions and clamping would repeat the last
/// one over half a grid pixel; colours are clamped by clamped_weight.
PARLANTE_HD Tap grid_tap(float coordinate, int size) {
  const float last = static_cast<float>(size - 1);
  if (coordinate > last) {
    return {size - 1, size > 1 ? size - 2 : 0, last - coordinate};
  }
  const int first = coordinate > 0.0f ? static_cast<int>(coordinate) : 0;
  return {first, first + (first + 1 < size ? 1 : 0), coordinate - static_cast<float>(first)};
}

PARLANTE_HD float clamped_weight(float t) { return t > 0.0f ? t : 0.0f; }

/// What a patch adds to a channel of a pixel in levels of 0..255; `cover` of the warp goes.
PARLANTE_HD float added_levels(float x0, float c, float cover) {
  return lerp((x0 - c) * 127.5f, (x0 + 1.0f) * 127.5f, cover);
}

/// What patches do to a pixel: its colours become color * (1 - cover) + added.
struct Added {
  float red, green, blue;
  float cover;
};

/// A patch as one row of the frame meets it: where x of the crop grid lies in the atlas, and the
/// rows there that are the patch's.
struct PatchRow {
  GridMap to_u, to_v;
  int first, last;  // the last one belongs to it
};

/// `place` and `band` point at the patch's values.
PARLANTE_HD PatchRow patch_row(const float* place, const std::int32_t* band, float grid_y) {
  return {{place[0], place[1] * grid_y + place[2]},
          {place[3], place[4] * grid_y + place[5]},
          band[0],
          band[1] - 1};
}

PARLANTE_HD bool is_within(float coordinate, int first, int last) {
  return coordinate >= static_cast<float>(first) && coordinate <= static_cast<float>(last);
}

PARLANTE_HD bool is_band(const std::int32_t* band, int rows) {
  return 0 <= band[0] && band[0] <= band[1] && band[1] <= rows;
}

/// The neighbours of v on rows first..last.
PARLANTE_HD Tap band_tap(float v, int first, int last) {
  const Tap tap = clamped_tap(v - static_cast<float>(first), last - first + 1);
  return {first + tap.first, first + tap.second, tap.t};
}

/// Clamps to 0..255; NaN becomes 0.
PARLANTE_HD float clamp_level(float level) {
  return level > 0.0f ? (level < 255.0f ? level : 255.0f) : 0.0f;
}

PARLANTE_HD std::uint8_t to_byte(float level) {
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(level + 0.5f));
}

/// Neighbours on the crop grid whose places in the source lie further apart than this, in pixels of
/// the grid, do not belong together: lids meet there, or a cheek ends.
inline constexpr float kWarpBreak = 2.0f;

PARLANTE_HD float spread_of_4(float a, float b, float c, float d) {
  const float high_ab = a > b ? a : b, high_cd = c > d ? c : d;
  const float low_ab = a < b ? a : b, low_cd = c < d ? c : d;
  return (high_ab > high_cd ? high_ab : high_cd) - (low_ab < low_cd ? low_ab : low_cd);
}

/// Whether the warp breaks between four neighbours, each x, y: the two of a row, then the row
/// below.
PARLANTE_HD bool warp_breaks(const float* a, const float* b, const float* c, const float* d) {
  const float x = spread_of_4(a[0], b[0], c[0], d[0]);
  const float y = spread_of_4(a[1], b[1], c[1], d[1]);
  return (x > y ? x : y) > kWarpBreak;
}

/// The share of the second of two neighbours in a colour between them. On a grid of the frame's own
/// size a pixel lies on the first one; half of the second smooths the edge.
PARLANTE_HD float broken_weight(float t, bool same_size) {
  return same_size ? 0.5f : clamped_weight(t);
}

/// The source between four neighbours of a broken warp. Their colours are blended: a place between
/// theirs would show what neither of them shows, the eye between two lids that meet.
PARLANTE_HD Rgba sample_broken(const ImageView<const std::uint8_t>& source, GridMap to_source_x,
                               GridMap to_source_y, const float* a, const float* b, const float* c,
                               const float* d, float tx, float ty) {
  const auto at = [&](const float* place) {
    return sample_rgba(source, to_source_x(place[0]), to_source_y(place[1]));
  };
  const Rgba top = lerp(at(a), at(b), tx);
  return lerp(top, lerp(at(c), at(d), tx), ty);
}

/// A colour of alpha 0..255 over another.
PARLANTE_HD float over(float color, float alpha, float below) {
  return lerp(below, color, alpha * kAlphaScale);
}

/// One channel of the frame, 0..255.
template <Backdrop kind>
PARLANTE_HD float compose_channel(float color, float alpha, float added, float cover, float plate,
                                  float backdrop) {
  const float drawn = color * (1.0f - cover) + added;
  if constexpr (kind == Backdrop::kPlate) {
    return clamp_level(over(drawn, alpha, plate));
  } else if constexpr (kind == Backdrop::kColor) {
    return clamp_level(over(drawn, alpha, backdrop));
  } else {
    return clamp_level(drawn);
  }
}

/// Red, green, blue and the matte of one pixel of the frame, 0..255.
template <Backdrop kind>
PARLANTE_HD Rgba compose_levels(const Rgba& sample, const Added& added, const std::uint8_t* plate,
                                const Background& background) {
  const float a = sample.a, cover = added.cover;
  return {compose_channel<kind>(sample.r, a, added.red, cover, plate[0], background.red),
          compose_channel<kind>(sample.g, a, added.green, cover, plate[1], background.green),
          compose_channel<kind>(sample.b, a, added.blue, cover, plate[2], background.blue), a};
}

// BT.709 weights; limited range: luma 16..235, chroma 16..240.
PARLANTE_HD float luma_709(float red, float green, float blue) {
  return 0.2126f * red + 0.7152f * green + 0.0722f * blue;
}

PARLANTE_HD std::uint8_t luma_byte(float red, float green, float blue) {
  return to_byte(16.0f + luma_709(red, green, blue) * (219.0f / 255.0f));
}

struct Chroma {
  std::uint8_t blue, red;
};

/// Chroma of the mean of 2x2 pixels.
PARLANTE_HD Chroma chroma_bytes(float red, float green, float blue) {
  const float luma = luma_709(red, green, blue);
  return {to_byte(128.0f + (blue - luma) * (224.0f / 255.0f / 1.8556f)),
          to_byte(128.0f + (red - luma) * (224.0f / 255.0f / 1.5748f))};
}

PARLANTE_HD float mean_of_4(float a, float b, float c, float d) {
  return ((a + b) + (c + d)) * 0.25f;
}

}  // namespace parlante
