// CUDA twin of pack.cpp. A thread packs four neighbouring pixels: the four dx of one network
// position, so that it reads whole 16-byte words and neighbouring threads write neighbouring values
// of each plane.
#include "ops/pack.h"
#include "support/cuda/launch.cuh"
#include "support/cuda/words.cuh"

namespace parlante {
namespace {

constexpr int kLanes = 32;  // along x: one warp writes 128 consecutive bytes of a plane
constexpr int kRows = 4;    // network rows a block

__global__ void __launch_bounds__(kLanes* kRows) pack_kernel(PackArguments arguments) {
  const auto& [source, reference, flow, inside, cover, condition] = arguments;
  const int x = static_cast<int>(blockIdx.x * kLanes + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * kRows + threadIdx.y);
  const int dy = static_cast<int>(blockIdx.z);
  if (x >= condition.columns || y >= condition.rows) {
    return;
  }
  const int image_x = x * kUnshuffle;
  const int image_y = y * kUnshuffle + dy;
  float flow_values[kUnshuffle * kFlowChannels];
  load_floats(flow.at(image_y, image_x), flow_values);
  const auto color_at = [&](int v, int u) {
    const float* at = flow.at(v, u);
    const PackedColor color = pack_color(source, __ldg(at), __ldg(at + 1));
    return inside.data ? laid_over(color, inside.at(v, u)) : color;
  };
#pragma unroll
  for (int dx = 0; dx < kUnshuffle; ++dx) {
    const float* at = flow_values + kFlowChannels * dx;
    const float blur = cover.data ? __ldg(cover.row(image_y) + image_x + dx) : 0.0f;
    const PackedColor color =
        blur > 0.0f ? soft_color(color_at, flow.rows, flow.columns, image_y, image_x + dx, blur)
                    : color_at(image_y, image_x + dx);
    const PackedPair pair =
        reference.data ? pack_pair(color, reference, at[4], at[5]) : PackedPair{color, {}, 0.0f};
    const float values[kPackedImages] = {
        pair.color.red, pair.color.green, pair.color.blue, at[3],     at[2],
        pair.other.red, pair.other.green, pair.other.blue, pair.valid};
#pragma unroll
    for (int image = 0; image < kPackedImages; ++image) {
      condition.row(unshuffled_plane(image, dy, dx), y)[x] = values[image];
    }
  }
}

}  // namespace

void pack_cuda(const PackArguments& arguments, CudaStream stream) {
  const PlanesView<float>& condition = arguments.condition;
  const dim3 grid(blocks_for(condition.columns, kLanes), blocks_for(condition.rows, kRows),
                  kUnshuffle);
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  pack_kernel<<<grid, dim3(kLanes, kRows), 0, stream>>>(arguments);
  check_launch("pack");
}

}  // namespace parlante
