// pack: samples the source portrait and a reference through the flow and writes the denoiser's
// input tensor.
#pragma once

#include <cstdint>

#include "contract.h"
#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/sampling.h"
#include "support/unshuffle.h"
#include "support/views.h"

namespace parlante {

/// Channels of the flow: source x, y; opening; drawn; reference x, y.
inline constexpr int kFlowChannels = 6;

/// One atlas of H x W pixels, multiples of 4; h = H / 4, w = W / 4.
struct PackArguments {
  /// [Hs, Ws, 4] RGB and a fourth channel that is not used.
  ImageView<const std::uint8_t> source;
  /// [Hr, Wr, 4] RGB and 255 where it is valid. Its data may be null: there is none.
  ImageView<const std::uint8_t> reference;
  /// [H, W, 6] source x, source y (pixels of the source), opening between lips or lids in 0..1, how
  /// far the network may draw in 0..1, reference x, reference y (pixels of the reference).
  ImageView<const float> flow;
  /// [H, W, 4]: a colour in [-1, 1] laid over c, and how far, 0..1: where something is seen that
  /// the source does not show. Its data may be null: nowhere.
  ImageView<const float> inside;
  /// [H, W]: how far the colours of source and reference are blurred, 0..1: along edges, where a
  /// mesh draws a row of steps. Its data may be null: nowhere.
  TableView<const float> cover;
  /// [144, h, w]: nine images, each pixel-unshuffled (unshuffle.h):
  ///   0-2  c, in [-1, 1]: the reference's colour where it is valid, else the source's
  ///   3    drawn     4    opening
  ///   5-7  valid * the source's colour, and 8 valid in [0, 1]; 0 without a reference
  PlanesView<float> condition;
};

/// Packs an atlas. Sampling is bilinear, clamped to the edge.
void pack(const PackArguments& arguments, int threads);

/// The same in device memory, queued on `stream`. Arrays are aligned to 16 bytes.
void pack_cuda(const PackArguments& arguments, CudaStream stream);

/// 0..255 -> -1..1
PARLANTE_HD float to_unit(float color) { return (color - 127.5f) * (1.0f / 127.5f); }

/// A colour in [-1, 1].
struct PackedColor {
  float red, green, blue;
};

PARLANTE_HD PackedColor pack_color(const ImageView<const std::uint8_t>& source, float x, float y) {
  const Rgba sample = sample_rgba(source, x, y);
  return {to_unit(sample.r), to_unit(sample.g), to_unit(sample.b)};
}

/// A colour with another one, red, green, blue and its share, laid over it.
PARLANTE_HD PackedColor laid_over(const PackedColor& color, const float* inside) {
  return {lerp(color.red, inside[0], inside[3]), lerp(color.green, inside[1], inside[3]),
          lerp(color.blue, inside[2], inside[3])};
}

/// A colour where it is blurred: up to `cover` the mean of the neighbours that are in the image.
/// `color_at(y, x)` gives their colours.
template <class ColorAt>
PARLANTE_HD PackedColor soft_color(const ColorAt& color_at, int rows, int columns, int y, int x,
                                   float cover) {
  PackedColor sum{};
  int count = 0;
  for (int v = y - kEdgeReach; v <= y + kEdgeReach; ++v) {
    for (int u = x - kEdgeReach; u <= x + kEdgeReach; ++u) {
      if (v >= 0 && v < rows && u >= 0 && u < columns) {
        const PackedColor color = color_at(v, u);
        sum.red += color.red;
        sum.green += color.green;
        sum.blue += color.blue;
        ++count;
      }
    }
  }
  const PackedColor own = color_at(y, x);
  const float share = 1.0f / static_cast<float>(count);
  return {lerp(own.red, sum.red * share, cover), lerp(own.green, sum.green * share, cover),
          lerp(own.blue, sum.blue * share, cover)};
}

/// What a reference shows, and how far it is valid, 0..1.
struct PackedOther {
  PackedColor color;
  float valid;
};

PARLANTE_HD PackedOther pack_other(const ImageView<const std::uint8_t>& reference, float x,
                                   float y) {
  const Rgba sample = sample_rgba(reference, x, y);
  return {{to_unit(sample.r), to_unit(sample.g), to_unit(sample.b)}, sample.a * kAlphaScale};
}

/// One pixel of the images 0-2 and 5-8.
struct PackedPair {
  PackedColor color, other;
  float valid;
};

/// `own`: the source's colour, `other`: the reference's, which is valid so far.
PARLANTE_HD PackedPair pack_pair(const PackedColor& own, const PackedColor& other, float valid) {
  return {{lerp(own.red, other.red, valid), lerp(own.green, other.green, valid),
           lerp(own.blue, other.blue, valid)},
          {valid * own.red, valid * own.green, valid * own.blue},
          valid};
}

}  // namespace parlante
