#include "denoise_step.h"

#include <numeric>

#include "parallel_rows.h"
#include "target_clones.h"

namespace parlante {
namespace {

/// The pixels whose noise image row y gets.
PARLANTE_TARGET_CLONES
void find_noise_pixels(const ImageView<const float>& warp, int y,
                       std::uint32_t* __restrict pixels) {
  const int rows = warp.rows;
  const int columns = warp.columns;
  const int channels = warp.channels;
  const float* __restrict row = warp.row(y);
  for (int x = 0; x < columns; ++x) {
    pixels[x] = noise_pixel(row[x * channels], row[x * channels + 1], rows, columns);
  }
}

/// Draws the noise of `count` pixels: R, G and B each in a row of its own.
PARLANTE_TARGET_CLONES
void draw_noise(const std::uint32_t* __restrict pixels, int count, const DenoiseStep& step,
                float* __restrict red, float* __restrict green, float* __restrict blue) {
  const std::uint64_t seed = step.seed;
  const std::uint32_t index = step.step;
  for (int x = 0; x < count; ++x) {
    const Normals normals = philox_normals(pixels[x], index, seed);
    red[x] = normals.n0;
    green[x] = normals.n1;
    blue[x] = normals.n2;
  }
}

/// One row of one plane. `noise` is strided: neighbours in a plane are kUnshuffle image pixels
/// apart. `out` may be `r` or `x_t`.
PARLANTE_TARGET_CLONES
void denoise_row(const float* r, const float* r_uncond, const float* x_t, const float* c,
                 const float* noise, int count, const DenoiseStep& step, float* out) {
  for (int x = 0; x < count; ++x) {
    float x0 = c[x];
    if (r) {
      x0 = clip_unit(x0 + (r_uncond ? guide(r[x], r_uncond[x], step.guidance) : r[x]));
    }
    out[x] = posterior(x0, x_t ? x_t[x] : 0.0f, noise ? noise[x * kUnshuffle] : 0.0f, step);
  }
}

}  // namespace

void denoise_step(PlanesView<const float> residual, PlanesView<const float> residual_uncond,
                  PlanesView<const float> x_t, PlanesView<const float> condition,
                  ImageView<const float> warp, PlanesView<float> out, const DenoiseStep& step,
                  int threads) {
  const int columns = out.columns * kUnshuffle;
  parallel_rows(out.rows, threads, [&](int y_begin, int y_end, Scratch& scratch) {
    auto* const pixels = scratch.take<std::uint32_t>(columns);
    auto* const noise = scratch.take<float>(3 * static_cast<std::size_t>(columns));
    for (int y = y_begin; y < y_end; ++y) {
      for (int dy = 0; dy < kUnshuffle; ++dy) {
        if (step.sigma != 0) {
          const int image_y = y * kUnshuffle + dy;
          if (warp.data) {
            find_noise_pixels(warp, image_y, pixels);
          } else {
            std::iota(pixels, pixels + columns, static_cast<std::uint32_t>(image_y) * columns);
          }
          draw_noise(pixels, columns, step, noise, noise + columns, noise + 2 * columns);
        }
        for (int channel = 0; channel < 3; ++channel) {
          for (int dx = 0; dx < kUnshuffle; ++dx) {
            const int plane = unshuffled_plane(channel, dy, dx);
            const auto row = [&](const PlanesView<const float>& view) {
              return view.data ? view.row(plane, y) : nullptr;
            };
            denoise_row(row(residual), row(residual_uncond), row(x_t), row(condition),
                        step.sigma != 0 ? noise + channel * columns + dx : nullptr, out.columns,
                        step, out.row(plane, y));
          }
        }
      }
    }
  });
}

}  // namespace parlante
