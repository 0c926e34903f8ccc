// denoise_step: one DDPM or DDIM step. Adds the network's residual to the warp, clips, takes the
// posterior mean and adds noise that is carried with the mesh.
// Tensors are images in the layout of unshuffle.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/number_formats.h"
#include "support/philox.h"
#include "support/unshuffle.h"
#include "support/views.h"

namespace parlante {

/// x0  = clip(c + r, -1, 1)
/// out = c_x0 * x0 + c_xt * x_t + sigma * n     (n is not drawn when sigma is 0)
struct DenoiseStep {
  float c_x0;
  float c_xt;
  float sigma;
  std::uint64_t seed;
  std::uint32_t step;  // picks the noise of a step: see philox_normals
};

/// What the network reads next: `out` as half or, value = scale * (byte - zero_point), as bytes. At
/// most one of the pointers is set.
struct NextInput {
  Half* halves;         ///< [48, h, w]
  std::uint8_t* bytes;  ///< [48, h, w]
  float scale;
  float zero_point;
};

/// A view whose data is null is absent.
struct DenoiseArguments {
  /// r [48, h, w]; absent: x0 = c, which noises the warp to start from it.
  PlanesView<const float> residual;
  /// [48, h, w]; absent: taken as 0.
  PlanesView<const float> x_t;
  /// [>= 48, h, w]; its first 48 planes are c, the warped image in [-1, 1].
  PlanesView<const float> condition;
  /// [4h, 4w, >= 2] x, y of the source pixel, whose noise a pixel gets (the other channels are not
  /// read); absent: its own.
  ImageView<const float> warp;
  /// [48, h, w]; may be residual or x_t.
  PlanesView<float> out;
  NextInput next;
  DenoiseStep step;
};

/// Runs one step.
void denoise_step(const DenoiseArguments& arguments, int threads);

/// The same in device memory, queued on `stream`. Arrays are aligned to 16 bytes.
void denoise_step_cuda(const DenoiseArguments& arguments, CudaStream stream);

/// Nearest of 0..65535 to a source coordinate, halves up; 0 for NaN.
PARLANTE_HD int nearest_index(float coordinate) {
  constexpr float kLast = 65535.0f;
  const float clamped = coordinate > 0.0f ? (coordinate < kLast ? coordinate : kLast) : 0.0f;
  return static_cast<int>(clamped + 0.5f);
}

/// The number by which a source pixel has its noise, whatever the size of the source.
PARLANTE_HD std::uint32_t noise_pixel(int x, int y) {
  return (static_cast<std::uint32_t>(y) << 16) + static_cast<std::uint32_t>(x);
}

PARLANTE_HD float clip_unit(float x) { return x < -1.0f ? -1.0f : (x > 1.0f ? 1.0f : x); }

PARLANTE_HD float posterior(float x0, float x_t, float noise, const DenoiseStep& step) {
  return step.c_x0 * x0 + step.c_xt * x_t + step.sigma * noise;
}

/// `value`, written to place `index` of `out`, in the next input.
PARLANTE_HD void store_next(const NextInput& next, std::ptrdiff_t index, float value) {
  if (next.halves) {
    next.halves[index] = to_half(value);
  } else if (next.bytes) {
    next.bytes[index] = quantize(value, next.scale, next.zero_point);
  }
}

}  // namespace parlante
