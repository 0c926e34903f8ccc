#include "denoise_step.h"

#include <algorithm>
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

/// What a step reads and writes of a stretch of values. `out` may be `r` or `x_t`; `noise` is
/// strided: neighbours in a plane are kUnshuffle image pixels apart.
struct Values {
  const float* r;
  const float* r_uncond;
  const float* x_t;
  const float* c;
  const float* noise;
  float* out;
};

template <bool kResidual, bool kGuided, bool kBefore, bool kNoise>
PARLANTE_TARGET_CLONES void denoise_values(const Values& values, std::ptrdiff_t count,
                                           const DenoiseStep& given) {
  const auto [r, r_uncond, x_t, c, noise, out] = values;
  const DenoiseStep step = given;
#pragma GCC ivdep
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    float x0 = c[x];
    if constexpr (kResidual) {
      x0 = clip_unit(x0 + (kGuided ? guide(r[x], r_uncond[x], step.guidance) : r[x]));
    }
    out[x] = posterior(x0, kBefore ? x_t[x] : 0.0f, kNoise ? noise[x * kUnshuffle] : 0.0f, step);
  }
}

using Denoise = void (*)(const Values&, std::ptrdiff_t, const DenoiseStep&);

PARLANTE_TARGET_CLONES
void write_halves(const float* __restrict out, std::ptrdiff_t count, Half* __restrict halves) {
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    halves[x] = to_half(out[x]);
  }
}

PARLANTE_TARGET_CLONES
void write_bytes(const float* __restrict out, std::ptrdiff_t count, const NextInput& next,
                 std::uint8_t* __restrict bytes) {
  const float scale = next.scale;
  const float zero_point = next.zero_point;
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    bytes[x] = quantize(out[x], scale, zero_point);
  }
}

/// `count` values from `first` on, just written to `out`, in the network's number format.
void write_next(const float* out, std::ptrdiff_t first, std::ptrdiff_t count,
                const NextInput& next) {
  if (next.halves) {
    write_halves(out + first, count, next.halves + first);
  } else if (next.bytes) {
    write_bytes(out + first, count, next, next.bytes + first);
  }
}

template <bool kNoise>
Denoise pick(const PlanesView<const float>& residual, const PlanesView<const float>& uncond,
             const PlanesView<const float>& x_t) {
  if (!residual.data) {
    return x_t.data ? denoise_values<false, false, true, kNoise>
                    : denoise_values<false, false, false, kNoise>;
  }
  if (!uncond.data) {
    return x_t.data ? denoise_values<true, false, true, kNoise>
                    : denoise_values<true, false, false, kNoise>;
  }
  return x_t.data ? denoise_values<true, true, true, kNoise>
                  : denoise_values<true, true, false, kNoise>;
}

/// Values that are done at once where there is no noise: they stay in the fastest cache for
/// `write_next`. And the fewest such blocks that are worth waking a thread for.
constexpr std::ptrdiff_t kBlock = 4096;
constexpr int kLeastBlocks = 64;

}  // namespace

void denoise_step(PlanesView<const float> residual, PlanesView<const float> residual_uncond,
                  PlanesView<const float> x_t, PlanesView<const float> condition,
                  ImageView<const float> warp, PlanesView<float> out, const NextInput& next,
                  const DenoiseStep& step, int threads) {
  const auto at = [](const PlanesView<const float>& view, std::ptrdiff_t index) {
    return view.data ? view.data + index : nullptr;
  };
  if (step.sigma == 0) {
    // Nothing depends on where a value lies in the image.
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(kColorPlanes) * out.rows * out.columns;
    const int blocks = static_cast<int>((size + kBlock - 1) / kBlock);
    const Denoise denoise = pick<false>(residual, residual_uncond, x_t);
    parallel_rows(blocks, std::min(threads, blocks / kLeastBlocks),
                  [&](int begin, int end, Scratch&) {
                    for (std::ptrdiff_t block = begin; block < end; ++block) {
                      const std::ptrdiff_t first = block * kBlock;
                      const std::ptrdiff_t count = std::min(size - first, kBlock);
                      denoise({at(residual, first), at(residual_uncond, first), at(x_t, first),
                               at(condition, first), nullptr, out.data + first},
                              count, step);
                      write_next(out.data, first, count, next);
                    }
                  });
    return;
  }
  const Denoise denoise = pick<true>(residual, residual_uncond, x_t);
  const int columns = out.columns * kUnshuffle;
  parallel_rows(out.rows, threads, [&](int y_begin, int y_end, Scratch& scratch) {
    auto* const pixels = scratch.take<std::uint32_t>(columns);
    auto* const noise = scratch.take<float>(3 * static_cast<std::size_t>(columns));
    for (int y = y_begin; y < y_end; ++y) {
      for (int dy = 0; dy < kUnshuffle; ++dy) {
        const int image_y = y * kUnshuffle + dy;
        if (warp.data) {
          find_noise_pixels(warp, image_y, pixels);
        } else {
          std::iota(pixels, pixels + columns, static_cast<std::uint32_t>(image_y) * columns);
        }
        draw_noise(pixels, columns, step, noise, noise + columns, noise + 2 * columns);
        for (int channel = 0; channel < 3; ++channel) {
          for (int dx = 0; dx < kUnshuffle; ++dx) {
            const int plane = unshuffled_plane(channel, dy, dx);
            const std::ptrdiff_t first =
                (static_cast<std::ptrdiff_t>(plane) * out.rows + y) * out.columns;
            denoise({at(residual, first), at(residual_uncond, first), at(x_t, first),
                     at(condition, first), noise + channel * columns + dx, out.data + first},
                    out.columns, step);
            write_next(out.data, first, out.columns, next);
          }
        }
      }
    }
  });
}

}  // namespace parlante
