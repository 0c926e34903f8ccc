// CUDA twin of pack.cpp. A thread packs four neighbouring pixels: the four dx of one network
// position, so that it reads whole 16-byte words and neighbouring threads write neighbouring values
// of each plane. Further slices of the grid sample the features.
#include "ops/pack.h"
#include "support/cuda/launch.cuh"
#include "support/cuda/words.cuh"

namespace parlante {
namespace {

constexpr int kLanes = 32;       // along x: one warp writes 128 consecutive bytes of a plane
constexpr int kRows = 4;         // network rows a block
constexpr int kFeatureStep = 8;  // features a thread samples with the same taps

__device__ void pack_pixels(const PackArguments& arguments, int x, int y, int dy) {
  const auto& [source, plate, warp, interior, features, condition] = arguments;
  const int image_x = x * kUnshuffle;
  const int image_y = y * kUnshuffle + dy;
  float warp_values[12];
  float interior_values[12];
  std::uint8_t plate_values[12];
  load_twelve(warp.at(image_y, image_x), warp_values);
  load_twelve(interior.at(image_y, image_x), interior_values);
  load_twelve(plate.at(image_y, image_x), plate_values);
#pragma unroll
  for (int dx = 0; dx < kUnshuffle; ++dx) {
    const PackedPixel pixel =
        pack_pixel(source, plate_values + 3 * dx, warp_values + 3 * dx, interior_values + 3 * dx);
    const float values[kPackedImages] = {
        pixel.red,   pixel.green,        pixel.blue,           pixel.matte,
        pixel.mouth, pixel.interior_red, pixel.interior_green, pixel.interior_blue};
#pragma unroll
    for (int image = 0; image < kPackedImages; ++image) {
      condition.row(unshuffled_plane(image, dy, dx), y)[x] = values[image];
    }
  }
}

__device__ void pack_features(const PackArguments& arguments, int x, int y, int first) {
  const auto& [source, plate, warp, interior, features, condition] = arguments;
  const FeatureTaps taps = feature_taps(warp.at(y * kUnshuffle, x * kUnshuffle), warp.columns,
                                        features.rows, features.columns);
  const int top = taps.y.first * features.columns;
  const int bottom = taps.y.second * features.columns;
#pragma unroll
  for (int i = 0; i < kFeatureStep; ++i) {
    const int feature = first + i;
    if (feature < features.planes) {
      condition.row(kPackedPlanes + feature, y)[x] =
          sample_plane(features.row(feature, 0), top + taps.x.first, top + taps.x.second,
                       bottom + taps.x.first, bottom + taps.x.second, taps.x.t, taps.y.t);
    }
  }
}

__global__ void __launch_bounds__(kLanes* kRows) pack_kernel(PackArguments arguments) {
  const int x = static_cast<int>(blockIdx.x * kLanes + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * kRows + threadIdx.y);
  if (x >= arguments.condition.columns || y >= arguments.condition.rows) {
    return;
  }
  const int slice = static_cast<int>(blockIdx.z);
  if (slice < kUnshuffle) {
    pack_pixels(arguments, x, y, slice);
  } else {
    pack_features(arguments, x, y, (slice - kUnshuffle) * kFeatureStep);
  }
}

}  // namespace

void pack_cuda(const PackArguments& arguments, CudaStream stream) {
  const PlanesView<float>& condition = arguments.condition;
  const dim3 grid(blocks_for(condition.columns, kLanes), blocks_for(condition.rows, kRows),
                  kUnshuffle + blocks_for(arguments.features.planes, kFeatureStep));
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  pack_kernel<<<grid, dim3(kLanes, kRows), 0, stream>>>(arguments);
  check_launch("pack");
}

}  // namespace parlante
