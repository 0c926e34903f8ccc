// pack: samples the source portrait through the warp and writes the denoiser's input tensor.
#pragma once

#include <cstdint>

#include "contract.h"
#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/sampling.h"
#include "support/unshuffle.h"
#include "support/views.h"

namespace parlante {

/// One frame. The warp is H x W, multiples of 4; h = H / 4, w = W / 4.
struct PackArguments {
  /// [Hs, Ws, 4] RGB and straight alpha (the head's matte).
  ImageView<const std::uint8_t> source;
  /// [H, W, 3] background, not warped.
  ImageView<const std::uint8_t> plate;
  /// [H, W, 3] source x, source y (pixels of the source), mouth mask in 0..1.
  ImageView<const float> warp;
  /// [H, W, 3] maps of the inside of the mouth, drawn from the face model.
  ImageView<const float> interior;
  /// [F, hf, wf] source features, one position for 4x4 source pixels.
  PlanesView<const float> features;
  /// [128 + F, h, w]: eight images, each pixel-unshuffled (unshuffle.h):
  ///   0-2  c = matte * colour + (1 - matte) * plate, in [-1, 1]
  ///   3    matte in [0, 1]      4  mouth mask      5-7  mouth mask * interior
  /// then the features, sampled at the mean source position of each 4x4 block.
  PlanesView<float> condition;
};

/// Packs a frame. Sampling is bilinear, clamped to the edge.
void pack(const PackArguments& arguments, int threads);

/// The same in device memory, queued on `stream`. Arrays are aligned to 16 bytes.
void pack_cuda(const PackArguments& arguments, CudaStream stream);

/// One pixel of the eight images.
struct PackedPixel {
  float red, green, blue;
  float matte;
  float mouth;
  float interior_red, interior_green, interior_blue;
};

/// 0..255 -> -1..1
PARLANTE_HD float to_unit(float color) { return (color - 127.5f) * (1.0f / 127.5f); }

/// `plate`, `warp` and `interior` point at the pixel's three values.
PARLANTE_HD PackedPixel pack_pixel(const ImageView<const std::uint8_t>& source,
                                   const std::uint8_t* plate, const float* warp,
                                   const float* interior) {
  const Rgba sample = sample_rgba(source, warp[0], warp[1]);
  const float mouth = warp[2];
  return {to_unit(over(sample.r, sample.a, plate[0])),
          to_unit(over(sample.g, sample.a, plate[1])),
          to_unit(over(sample.b, sample.a, plate[2])),
          sample.a * kAlphaScale,
          mouth,
          mouth * interior[0],
          mouth * interior[1],
          mouth * interior[2]};
}

/// Where a block of 4x4 pixels samples the features, whose positions are 4 source pixels apart.
struct FeatureTaps {
  Tap x;
  Tap y;
};

/// `warp` points at the block's first pixel in an image of `columns`.
PARLANTE_HD FeatureTaps feature_taps(const float* warp, int columns, int feature_rows,
                                     int feature_columns) {
  float sum_x = 0.0f;
  float sum_y = 0.0f;
  for (int dy = 0; dy < kUnshuffle; ++dy) {
    for (int dx = 0; dx < kUnshuffle; ++dx) {
      const float* pixel = warp + (dy * columns + dx) * 3;
      sum_x += pixel[0];
      sum_y += pixel[1];
    }
  }
  constexpr float kMean = 1.0f / (kUnshuffle * kUnshuffle);
  return {clamped_tap((sum_x * kMean + 0.5f) * (1.0f / kUnshuffle) - 0.5f, feature_columns),
          clamped_tap((sum_y * kMean + 0.5f) * (1.0f / kUnshuffle) - 0.5f, feature_rows)};
}

PARLANTE_HD float sample_plane(const float* plane, int t00, int t01, int t10, int t11, float tx,
                               float ty) {
  return lerp(lerp(plane[t00], plane[t01], tx), lerp(plane[t10], plane[t11], tx), ty);
}

}  // namespace parlante
