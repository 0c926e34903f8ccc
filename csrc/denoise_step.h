// denoise_step: one DDPM or DDIM step. Adds the network's residual to the warp, clips, takes the
// posterior mean and adds noise that is carried with the mesh.
// Tensors are images in the layout of unshuffle.h.
#pragma once

#include <cstdint>

#include "cuda_stream.h"
#include "host_device.h"
#include "next_input.h"
#include "philox.h"
#include "unshuffle.h"
#include "views.h"

namespace parlante {

/// x0  = clip(c + r, -1, 1), r = residual or residual_uncond + guidance * (residual - uncond)
/// out = c_x0 * x0 + c_xt * x_t + sigma * n     (n is not drawn when sigma is 0)
struct DenoiseStep {
  float c_x0;
  float c_xt;
  float sigma;
  float guidance;
  std::uint64_t seed;
  std::uint32_t step;  // picks the noise of a step: see philox_normals
};

/// Runs one step. A view whose data is null is absent.
///
/// residual         [48, h, w], absent: x0 = c, which noises the warp to start from it.
/// residual_uncond  [48, h, w] for guidance, or absent.
/// x_t              [48, h, w], absent: taken as 0.
/// condition        [>= 48, h, w]; its first 48 planes are c, the warped image in [-1, 1].
/// warp             [4h, 4w, 3] x, y of the source pixel, whose noise a pixel gets (and a mask that
///                  is not read); absent: its own.
/// out              [48, h, w]; may be residual or x_t.
/// next             [48, h, w]; `out` in the network's number format, where that is not float.
void denoise_step(PlanesView<const float> residual, PlanesView<const float> residual_uncond,
                  PlanesView<const float> x_t, PlanesView<const float> condition,
                  ImageView<const float> warp, PlanesView<float> out, const NextInput& next,
                  const DenoiseStep& step, int threads);

/// The same in device memory, queued on `stream`. Arrays are aligned to 16 bytes.
void denoise_step_cuda(PlanesView<const float> residual, PlanesView<const float> residual_uncond,
                       PlanesView<const float> x_t, PlanesView<const float> condition,
                       ImageView<const float> warp, PlanesView<float> out, const NextInput& next,
                       const DenoiseStep& step, CudaStream stream);

/// Nearest of 0..size-1 to a source coordinate, halves up; 0 for NaN.
PARLANTE_HD int nearest_index(float coordinate, int size) {
  const float last = static_cast<float>(size - 1);
  const float clamped = coordinate > 0.0f ? (coordinate < last ? coordinate : last) : 0.0f;
  return static_cast<int>(clamped + 0.5f);
}

PARLANTE_HD std::uint32_t noise_pixel(float source_x, float source_y, int rows, int columns) {
  return static_cast<std::uint32_t>(nearest_index(source_y, rows)) *
             static_cast<std::uint32_t>(columns) +
         static_cast<std::uint32_t>(nearest_index(source_x, columns));
}

PARLANTE_HD float guide(float residual, float residual_uncond, float guidance) {
  return residual_uncond + guidance * (residual - residual_uncond);
}

PARLANTE_HD float clip_unit(float x) { return x < -1.0f ? -1.0f : (x > 1.0f ? 1.0f : x); }

PARLANTE_HD float posterior(float x0, float x_t, float noise, const DenoiseStep& step) {
  return step.c_x0 * x0 + step.c_xt * x_t + step.sigma * noise;
}

}  // namespace parlante
