// CUDA twin of compose.cpp. A thread does four neighbouring pixels of a row, for NV12 of two rows,
// and stores whole words; where frame and crop grid are of one size it reads the warp in words,
// too. What patches add is sampled from the network's planes: few pixels lie in one.
#include "ops/compose.h"
#include "support/cuda/launch.cuh"
#include "support/cuda/words.cuh"

namespace parlante {
namespace {

constexpr int kLanes = 32;
constexpr int kRows = 4;
constexpr int kPixels = 4;  // pixels of a thread along x

struct Frame : ComposeArguments {
  GridMap to_grid_x, to_grid_y;
  GridMap to_source_x, to_source_y;
};

/// What a pixel of the atlas adds, in levels.
__device__ Added added_at(const Frame& frame, int y, int x) {
  const int cell = y / kUnshuffle, w = x / kUnshuffle;
  const int tile = cell / frame.x0.rows, h = cell % frame.x0.rows;
  const auto plane = [&](int image) {
    return unshuffled_plane(image, y % kUnshuffle, x % kUnshuffle);
  };
  const float cover = frame.cover.data ? __ldg(frame.cover.row(y) + x) : 0.0f;
  const auto levels = [&](int channel) {
    return added_levels(__ldg(frame.x0.row(tile, plane(channel), h) + w),
                        __ldg(frame.condition.row(tile, plane(channel), h) + w), cover);
  };
  return {levels(0), levels(1), levels(2), cover};
}

/// What the patches add at a place of the crop grid.
__device__ Added add_patches(const Frame& frame, float grid_x, float grid_y) {
  Added sum{};
  if (!frame.x0.data) {
    return sum;
  }
  const int rows = frame.x0.tiles * frame.x0.rows * kUnshuffle;
  const int columns = frame.x0.columns * kUnshuffle;
  for (int i = 0; i < frame.places.rows; ++i) {
    const PatchRow patch = patch_row(frame.places.row(i), frame.bands.row(i), grid_y);
    const float u = patch.to_u(grid_x);
    const float v = patch.to_v(grid_x);
    if (!is_band(frame.bands.row(i), rows) || !is_within(u, 0, columns - 1) ||
        !is_within(v, patch.first, patch.last)) {
      continue;
    }
    const Tap column = clamped_tap(u, columns);
    const Tap row = band_tap(v, patch.first, patch.last);
    const Added a = added_at(frame, row.first, column.first);
    const Added b = added_at(frame, row.first, column.second);
    const Added c = added_at(frame, row.second, column.first);
    const Added d = added_at(frame, row.second, column.second);
    sum.red += lerp_of_4(a.red, b.red, c.red, d.red, column.t, row.t);
    sum.green += lerp_of_4(a.green, b.green, c.green, d.green, column.t, row.t);
    sum.blue += lerp_of_4(a.blue, b.blue, c.blue, d.blue, column.t, row.t);
    sum.cover += lerp_of_4(a.cover, b.cover, c.cover, d.cover, column.t, row.t);
  }
  return sum;
}

/// A place of the source in pixels of the crop grid.
struct Place {
  float x, y;
};

/// One column of the grid at an output row: what places are blended from.
struct GridColumn {
  int x;
  Place place;
};

__device__ GridColumn load_column(const Frame& frame, const Tap& row, int x) {
  const float* first = frame.warp.at(row.first, x);
  const float* second = frame.warp.at(row.second, x);
  return {
      x,
      {lerp(__ldg(first), __ldg(second), row.t), lerp(__ldg(first + 1), __ldg(second + 1), row.t)}};
}

/// Neighbouring pixels share columns: `left` and `right` keep those of the pixel before.
__device__ Place stretch_warp(const Frame& frame, const Tap& row, const Tap& tap, GridColumn& left,
                              GridColumn& right) {
  if (left.x != tap.first) {
    left = right.x == tap.first ? right : load_column(frame, row, tap.first);
  }
  if (right.x != tap.second) {
    right = left.x == tap.second ? left : load_column(frame, row, tap.second);
  }
  return {lerp(left.place.x, right.place.x, tap.t), lerp(left.place.y, right.place.y, tap.t)};
}

/// The source as the broken or unbroken warp shows it between `row` and `column`.
__device__ Rgba sample_warped(const Frame& frame, const Tap& row, const Tap& column,
                              const Place& place) {
  const float* corners[4] = {
      frame.warp.at(row.first, column.first), frame.warp.at(row.first, column.second),
      frame.warp.at(row.second, column.first), frame.warp.at(row.second, column.second)};
  if (warp_breaks(corners[0], corners[1], corners[2], corners[3])) {
    return sample_broken(frame.source, frame.to_source_x, frame.to_source_y, corners[0], corners[1],
                         corners[2], corners[3],
                         broken_weight(column.t, frame.plate.columns == frame.warp.columns),
                         broken_weight(row.t, frame.plate.rows == frame.warp.rows));
  }
  return sample_rgba(frame.source, frame.to_source_x(place.x), frame.to_source_y(place.y));
}

/// Four pixels from (y, x), x a multiple of 4; those past the last column repeat it.
template <Backdrop kind, bool kSameSize>
__device__ void compose_four(const Frame& frame, int x, int y, Rgba* levels) {
  const int columns = frame.plate.columns;
  const int last = columns - 1;
  std::uint8_t plate[3 * kPixels] = {};
  if constexpr (kind == Backdrop::kPlate) {
    if (columns % kPixels == 0) {
      load_twelve(frame.plate.at(y, x), plate);
    } else {
#pragma unroll
      for (int i = 0; i < 3 * kPixels; ++i) {
        plate[i] = frame.plate.at(y, min(x + i / 3, last))[i % 3];
      }
    }
  }
  const float grid_y = frame.to_grid_y(static_cast<float>(y));
  float places[2 * kPixels];
  const Tap row = grid_tap(grid_y, frame.warp.rows);
  GridColumn left{-1, {}};
  GridColumn right{-1, {}};
  if constexpr (kSameSize) {
    load_floats(frame.warp.at(y, x), places);
  }
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const float grid_x = frame.to_grid_x(static_cast<float>(min(x + i, last)));
    const Tap column = grid_tap(grid_x, frame.warp.columns);
    Place place;
    if constexpr (kSameSize) {
      place = {places[2 * i], places[2 * i + 1]};
    } else {
      place = stretch_warp(frame, row, column, left, right);
    }
    const Rgba sample = sample_warped(frame, row, column, place);
    const Added added = add_patches(frame, grid_x, grid_y);
    levels[i] = compose_levels<kind>(sample, added, plate + 3 * i, frame.background);
  }
}

/// Stores four pixels of kBytes each at (y, x): as words where rows are whole words, else byte by
/// byte and without those past the last column.
template <int kBytes>
__device__ void store_pixels(const std::uint8_t* bytes, int x, int y, int columns,
                             std::uint8_t* out) {
  std::uint8_t* to = out + (static_cast<std::ptrdiff_t>(y) * columns + x) * kBytes;
  if (columns % kPixels == 0) {
#pragma unroll
    for (int i = 0; i < kBytes; ++i) {
      reinterpret_cast<std::uint32_t*>(to)[i] =
          join_bytes(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]);
    }
  } else {
    const int count = min(kPixels, columns - x) * kBytes;
#pragma unroll
    for (int i = 0; i < kPixels * kBytes; ++i) {  // constant indices keep `bytes` in registers
      if (i < count) {
        to[i] = bytes[i];
      }
    }
  }
}

__device__ void store_colors(const Rgba* levels, PixelFormat format, int x, int y, int columns,
                             std::uint8_t* out) {
  std::uint8_t bytes[4 * kPixels];
  if (format == PixelFormat::kRgba) {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      bytes[4 * i] = to_byte(levels[i].r);
      bytes[4 * i + 1] = to_byte(levels[i].g);
      bytes[4 * i + 2] = to_byte(levels[i].b);
      bytes[4 * i + 3] = to_byte(levels[i].a);
    }
    store_pixels<4>(bytes, x, y, columns, out);
  } else {
    const bool rgb = format == PixelFormat::kRgb;
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      bytes[3 * i] = to_byte(rgb ? levels[i].r : levels[i].b);
      bytes[3 * i + 1] = to_byte(levels[i].g);
      bytes[3 * i + 2] = to_byte(rgb ? levels[i].b : levels[i].r);
    }
    store_pixels<3>(bytes, x, y, columns, out);
  }
}

/// Four luma samples in each of two rows, and the two chroma pairs that they share.
__device__ void store_nv12(const Rgba (*levels)[kPixels], int x, int y, int rows, int columns,
                           std::uint8_t* out) {
  std::uint8_t bytes[kPixels];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      bytes[i] = luma_byte(levels[row][i].r, levels[row][i].g, levels[row][i].b);
    }
    store_pixels<1>(bytes, x, y + row, columns, out);
  }
#pragma unroll
  for (int i = 0; i < kPixels; i += 2) {
    const Rgba& a = levels[0][i];
    const Rgba& b = levels[0][i + 1];
    const Rgba& c = levels[1][i];
    const Rgba& d = levels[1][i + 1];
    const Chroma chroma = chroma_bytes(mean_of_4(a.r, b.r, c.r, d.r), mean_of_4(a.g, b.g, c.g, d.g),
                                       mean_of_4(a.b, b.b, c.b, d.b));
    bytes[i] = chroma.blue;
    bytes[i + 1] = chroma.red;
  }
  store_pixels<1>(bytes, x, rows + y / 2, columns, out);
}

template <Backdrop kind, bool kSameSize, bool kNv12>
__global__ void __launch_bounds__(kLanes* kRows) compose_kernel(Frame frame) {
  const int x = static_cast<int>(blockIdx.x * kLanes + threadIdx.x) * kPixels;
  const int row = static_cast<int>(blockIdx.y * kRows + threadIdx.y);
  const int rows = frame.plate.rows;
  const int columns = frame.plate.columns;
  if constexpr (kNv12) {
    const int y = 2 * row;
    if (x >= columns || y >= rows) {
      return;
    }
    Rgba levels[2][kPixels];
    compose_four<kind, kSameSize>(frame, x, y, levels[0]);
    compose_four<kind, kSameSize>(frame, x, y + 1, levels[1]);
    store_nv12(levels, x, y, rows, columns, frame.out);
  } else {
    if (x >= columns || row >= rows) {
      return;
    }
    Rgba levels[kPixels];
    compose_four<kind, kSameSize>(frame, x, row, levels);
    store_colors(levels, frame.format, x, row, columns, frame.out);
  }
}

using Kernel = void (*)(Frame);

template <Backdrop kind>
Kernel choose_kernel(bool same_size, bool nv12) {
  if (nv12) {
    return same_size ? compose_kernel<kind, true, true> : compose_kernel<kind, false, true>;
  }
  return same_size ? compose_kernel<kind, true, false> : compose_kernel<kind, false, false>;
}

Kernel choose_kernel(Backdrop kind, bool same_size, bool nv12) {
  switch (kind) {
    case Backdrop::kPlate:
      return choose_kernel<Backdrop::kPlate>(same_size, nv12);
    case Backdrop::kColor:
      return choose_kernel<Backdrop::kColor>(same_size, nv12);
    default:
      return choose_kernel<Backdrop::kAlpha>(same_size, nv12);
  }
}

}  // namespace

void compose_cuda(const ComposeArguments& arguments, CudaStream stream) {
  const auto& plate = arguments.plate;
  const auto& warp = arguments.warp;
  const Frame frame{arguments, grid_map(plate.columns, warp.columns),
                    grid_map(plate.rows, warp.rows),
                    grid_map(warp.columns, plate.columns, arguments.left),
                    grid_map(warp.rows, plate.rows, arguments.top)};
  const bool same_size =
      plate.rows == warp.rows && plate.columns == warp.columns && warp.columns % kPixels == 0;
  const bool nv12 = arguments.format == PixelFormat::kNv12;
  const dim3 grid(blocks_for(plate.columns, kLanes * kPixels),
                  blocks_for(nv12 ? plate.rows / 2 : plate.rows, kRows));
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  const Kernel kernel = choose_kernel(arguments.background.kind, same_size, nv12);
  kernel<<<grid, dim3(kLanes, kRows), 0, stream>>>(frame);
  check_launch("compose");
}

}  // namespace parlante
