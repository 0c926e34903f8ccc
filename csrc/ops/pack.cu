// CUDA twin of pack.cpp. A thread packs one pixel: a blurred one costs 25 samples, and an atlas has
// too few pixels for one thread to do several. Neighbouring threads read neighbouring pixels; of
// each plane a warp writes 32 consecutive bytes.
#include "ops/pack.h"
#include "support/cuda/launch.cuh"

namespace parlante {
namespace {

constexpr int kLanes = 32;
constexpr int kRows = 4;

__global__ void __launch_bounds__(kLanes* kRows) pack_kernel(PackArguments arguments) {
  const auto& [source, reference, flow, inside, cover, condition] = arguments;
  const int x = static_cast<int>(blockIdx.x * kLanes + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * kRows + threadIdx.y);
  if (x >= flow.columns || y >= flow.rows) {
    return;
  }
  const auto color_at = [&](int v, int u) {
    const float2 place = __ldg(reinterpret_cast<const float2*>(flow.at(v, u)));
    const PackedColor color = pack_color(source, place.x, place.y);
    return inside.data ? laid_over(color, inside.at(v, u)) : color;
  };
  const auto other_at = [&](int v, int u) {
    const float2 place = __ldg(reinterpret_cast<const float2*>(flow.at(v, u)) + 2);
    return pack_other(reference, place.x, place.y).color;
  };
  const float blur = cover.data ? __ldg(cover.row(y) + x) : 0.0f;
  const PackedColor color =
      blur > 0.0f ? soft_color(color_at, flow.rows, flow.columns, y, x, blur) : color_at(y, x);
  const float2* at = reinterpret_cast<const float2*>(flow.at(y, x));
  const float2 drawn = __ldg(at + 1);  // opening, drawn
  PackedPair pair{color, {}, 0.0f};
  if (reference.data) {
    const float2 place = __ldg(at + 2);
    const PackedOther other = pack_other(reference, place.x, place.y);
    pair = pack_pair(
        color,
        blur > 0.0f ? soft_color(other_at, flow.rows, flow.columns, y, x, blur) : other.color,
        other.valid);
  }
  const float values[kPackedImages] = {pair.color.red,   pair.color.green, pair.color.blue,
                                       drawn.y,          drawn.x,          pair.other.red,
                                       pair.other.green, pair.other.blue,  pair.valid};
#pragma unroll
  for (int image = 0; image < kPackedImages; ++image) {
    const int plane = unshuffled_plane(image, y % kUnshuffle, x % kUnshuffle);
    condition.row(plane, y / kUnshuffle)[x / kUnshuffle] = values[image];
  }
}

}  // namespace

void pack_cuda(const PackArguments& arguments, CudaStream stream) {
  const auto& flow = arguments.flow;
  const dim3 grid(blocks_for(flow.columns, kLanes), blocks_for(flow.rows, kRows));
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  pack_kernel<<<grid, dim3(kLanes, kRows), 0, stream>>>(arguments);
  check_launch("pack");
}

}  // namespace parlante
