// CUDA twin of compose.cpp. A thread does four neighbouring pixels of a row, for NV12 of two rows,
// and stores whole words. Where frame and crop grid are of one size the four pixels are the four
// dx of a network position, and every value is read once, in words or in coalesced floats.
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

/// What a pixel takes from the crop grid: a source position there and the residual in levels.
struct GridSample {
  float x, y;
  float residual[3];
};

__device__ float residual_at(const Frame& frame, int channel, int y, int x) {
  const int plane = unshuffled_plane(channel, y % kUnshuffle, x % kUnshuffle);
  return residual_levels(__ldg(frame.x0.row(plane, y / kUnshuffle) + x / kUnshuffle),
                         __ldg(frame.condition.row(plane, y / kUnshuffle) + x / kUnshuffle));
}

/// One column of the grid at an output row: what GridSample is blended from.
struct GridColumn {
  int x;
  GridSample sample;
};

__device__ GridColumn load_column(const Frame& frame, const Tap& row, int x) {
  const float* first = frame.warp.at(row.first, x);
  const float* second = frame.warp.at(row.second, x);
  GridColumn column{x,
                    {lerp(__ldg(first), __ldg(second), row.t),
                     lerp(__ldg(first + 1), __ldg(second + 1), row.t),
                     {}}};
#pragma unroll
  for (int channel = 0; channel < 3; ++channel) {
    column.sample.residual[channel] =
        lerp(residual_at(frame, channel, row.first, x), residual_at(frame, channel, row.second, x),
             clamped_weight(row.t));
  }
  return column;
}

/// Neighbouring pixels share columns: `left` and `right` keep those of the pixel before.
__device__ GridSample stretch_grid(const Frame& frame, const Tap& row, const Tap& tap,
                                   GridColumn& left, GridColumn& right) {
  if (left.x != tap.first) {
    left = right.x == tap.first ? right : load_column(frame, row, tap.first);
  }
  if (right.x != tap.second) {
    right = left.x == tap.second ? left : load_column(frame, row, tap.second);
  }
  GridSample sample{
      lerp(left.sample.x, right.sample.x, tap.t), lerp(left.sample.y, right.sample.y, tap.t), {}};
#pragma unroll
  for (int channel = 0; channel < 3; ++channel) {
    sample.residual[channel] =
        lerp(left.sample.residual[channel], right.sample.residual[channel], clamped_weight(tap.t));
  }
  return sample;
}

/// The source as the broken or unbroken warp shows it between `row` and `column`.
__device__ Rgba sample_warped(const Frame& frame, const Tap& row, const Tap& column,
                              const GridSample& grid) {
  const float* corners[4] = {
      frame.warp.at(row.first, column.first), frame.warp.at(row.first, column.second),
      frame.warp.at(row.second, column.first), frame.warp.at(row.second, column.second)};
  if (warp_breaks(corners[0], corners[1], corners[2], corners[3])) {
    return sample_broken(frame.source, frame.to_source_x, frame.to_source_y, corners[0], corners[1],
                         corners[2], corners[3], clamped_weight(column.t), clamped_weight(row.t));
  }
  return sample_rgba(frame.source, frame.to_source_x(grid.x), frame.to_source_y(grid.y));
}

/// Four pixels from (y, x), x a multiple of 4; those past the last column repeat it.
template <Backdrop kind, bool kSameSize>
__device__ void compose_four(const Frame& frame, int x, int y, Rgba* levels) {
  const int columns = frame.plate.columns;
  const int last = columns - 1;
  std::uint8_t plate[3 * kPixels] = {};
  if constexpr (kind == Backdrop::kPlate || kind == Backdrop::kPicture) {
    if (columns % kPixels == 0) {
      load_twelve(frame.plate.at(y, x), plate);
    } else {
#pragma unroll
      for (int i = 0; i < 3 * kPixels; ++i) {
        plate[i] = frame.plate.at(y, min(x + i / 3, last))[i % 3];
      }
    }
  }
  float flow[12];
  Tap row{};
  GridColumn left{-1, {}};
  GridColumn right{-1, {}};
  if constexpr (kSameSize) {
    load_twelve(frame.warp.at(y, x), flow);
  } else {
    row = grid_tap(frame.to_grid_y(static_cast<float>(y)), frame.warp.rows);
  }
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    GridSample grid;
    Rgba sample;
    if constexpr (kSameSize) {
      grid = {flow[3 * i], flow[3 * i + 1], {}};
#pragma unroll
      for (int channel = 0; channel < 3; ++channel) {
        grid.residual[channel] = residual_at(frame, channel, y, x + i);
      }
      sample = sample_rgba(frame.source, frame.to_source_x(grid.x), frame.to_source_y(grid.y));
    } else {
      const float at = static_cast<float>(min(x + i, last));
      const Tap column = grid_tap(frame.to_grid_x(at), frame.warp.columns);
      grid = stretch_grid(frame, row, column, left, right);
      sample = sample_warped(frame, row, column, grid);
    }
    levels[i] = compose_levels<kind>(sample, grid.residual[0], grid.residual[1], grid.residual[2],
                                     plate + 3 * i, frame.background);
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
    case Backdrop::kPicture:
      return choose_kernel<Backdrop::kPicture>(same_size, nv12);
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
  const bool same_size = plate.rows == warp.rows && plate.columns == warp.columns;
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
