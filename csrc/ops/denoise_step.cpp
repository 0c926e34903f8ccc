#include "ops/denoise_step.h"

#include <algorithm>
#include <numeric>

#include "support/isa.h"
#include "support/parallel_rows.h"

namespace parlante {
namespace {

/// The pixels whose noise image row y gets.
PARLANTE_LOOP void find_noise_pixels_loop(const ImageView<const float>& warp, int y,
                                          std::uint32_t* pixels) {
  const int columns = warp.columns;
  const int channels = warp.channels;
  const float* row = warp.row(y);
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    pixels[x] = noise_pixel(nearest_index(row[x * channels]), nearest_index(row[x * channels + 1]));
  }
}
constexpr PerIsa<find_noise_pixels_loop> find_noise_pixels;

/// Draws the noise of `count` pixels: R, G and B each in a row of its own.
PARLANTE_LOOP void draw_noise_loop(const std::uint32_t* pixels, int count, const DenoiseStep& step,
                                   float* red, float* green, float* blue) {
  const std::uint64_t seed = step.seed;
  const std::uint32_t index = step.step;
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    const Normals normals = philox_normals(pixels[x], index, seed);
    red[x] = normals.n0;
    green[x] = normals.n1;
    blue[x] = normals.n2;
  }
}
constexpr PerIsa<draw_noise_loop> draw_noise;

/// What a step reads and writes of a stretch of values. `out` may be `r` or `x_t`; `noise` is
/// strided: neighbours in a plane are kUnshuffle image pixels apart.
struct Values {
  const float* r;
  const float* x_t;
  const float* c;
  const float* noise;
  float* out;
};

template <bool kResidual, bool kBefore, bool kNoise>
PARLANTE_LOOP void denoise_values_loop(const Values& values, std::ptrdiff_t count,
                                       const DenoiseStep& given) {
  const auto [r, x_t, c, noise, out] = values;
  const DenoiseStep step = given;
  PARLANTE_INDEPENDENT
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    float x0 = c[x];
    if constexpr (kResidual) {
      x0 = clip_unit(x0 + r[x]);
    }
    out[x] = posterior(x0, kBefore ? x_t[x] : 0.0f, kNoise ? noise[x * kUnshuffle] : 0.0f, step);
  }
}
template <bool kResidual, bool kBefore, bool kNoise>
constexpr PerIsa<denoise_values_loop<kResidual, kBefore, kNoise>> denoise_values;

PARLANTE_LOOP void write_halves_loop(const float* out, std::ptrdiff_t count, Half* halves) {
  PARLANTE_INDEPENDENT
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    halves[x] = to_half(out[x]);
  }
}
constexpr PerIsa<write_halves_loop> write_halves;

PARLANTE_LOOP void write_bytes_loop(const float* out, std::ptrdiff_t count, const NextInput& next,
                                    std::uint8_t* bytes) {
  const float scale = next.scale;
  const float zero_point = next.zero_point;
  PARLANTE_INDEPENDENT
  for (std::ptrdiff_t x = 0; x < count; ++x) {
    bytes[x] = quantize(out[x], scale, zero_point);
  }
}
constexpr PerIsa<write_bytes_loop> write_bytes;

/// `count` values from `first` on, just written to `out`, in the network's number format.
void write_next(const float* out, std::ptrdiff_t first, std::ptrdiff_t count,
                const NextInput& next) {
  if (next.halves) {
    write_halves(out + first, count, next.halves + first);
  } else if (next.bytes) {
    write_bytes(out + first, count, next, next.bytes + first);
  }
}

using Denoise = PerIsa<denoise_values_loop<true, true, true>>::Function;

template <bool kNoise>
Denoise pick(bool residual, bool before) {
  const Isa level = isa_level();
  if (residual) {
    return before ? denoise_values<true, true, kNoise>.at(level)
                  : denoise_values<true, false, kNoise>.at(level);
  }
  return before ? denoise_values<false, true, kNoise>.at(level)
                : denoise_values<false, false, kNoise>.at(level);
}

/// Values that are done at once where there is no noise: they stay in the fastest cache for
/// `write_next`. And the fewest such blocks that are worth waking a thread for.
constexpr std::ptrdiff_t kBlock = 4096;
constexpr int kLeastBlocks = 64;

}  // namespace

void denoise_step(const DenoiseArguments& arguments, int threads) {
  const auto& [residual, x_t, condition, warp, out, next, step] = arguments;
  const auto values_at = [&](std::ptrdiff_t index, const float* noise) {
    return Values{residual.data ? residual.data + index : nullptr,
                  x_t.data ? x_t.data + index : nullptr, condition.data + index, noise,
                  out.data + index};
  };
  if (step.sigma == 0) {
    // Nothing depends on where a value lies in the image.
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(kColorPlanes) * out.rows * out.columns;
    const int blocks = static_cast<int>((size + kBlock - 1) / kBlock);
    const Denoise denoise = pick<false>(residual.data, x_t.data);
    parallel_rows(blocks, std::min(threads, blocks / kLeastBlocks),
                  [&](int begin, int end, Scratch&) {
                    for (std::ptrdiff_t block = begin; block < end; ++block) {
                      const std::ptrdiff_t first = block * kBlock;
                      const std::ptrdiff_t count = std::min(size - first, kBlock);
                      denoise(values_at(first, nullptr), count, step);
                      write_next(out.data, first, count, next);
                    }
                  });
    return;
  }
  const Denoise denoise = pick<true>(residual.data, x_t.data);
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
          std::iota(pixels, pixels + columns, noise_pixel(0, image_y));
        }
        draw_noise(pixels, columns, step, noise, noise + columns, noise + 2 * columns);
        for (int channel = 0; channel < 3; ++channel) {
          for (int dx = 0; dx < kUnshuffle; ++dx) {
            const int plane = unshuffled_plane(channel, dy, dx);
            const std::ptrdiff_t first =
                (static_cast<std::ptrdiff_t>(plane) * out.rows + y) * out.columns;
            denoise(values_at(first, noise + channel * columns + dx), out.columns, step);
            write_next(out.data, first, out.columns, next);
          }
        }
      }
    }
  });
}

}  // namespace parlante
