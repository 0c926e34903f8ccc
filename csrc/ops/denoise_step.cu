// CUDA twin of denoise_step.cpp. A thread does the four dx of one network position and row dy, in
// all three channels: 36 independent loads, each of them 128 consecutive bytes of a plane for a
// warp. Reads and writes every value once.
#include "ops/denoise_step.h"
#include "support/cuda/launch.cuh"

namespace parlante {
namespace {

constexpr int kLanes = 32;
constexpr int kRows = 4;

// `out` may be one of the inputs; a thread reads a value before it overwrites it, so no pointer is
// marked restrict.
template <bool kNoise>
__global__ void __launch_bounds__(kLanes* kRows) denoise_step_kernel(DenoiseArguments arguments) {
  const auto& [residual, x_t, condition, warp, out, next, step] = arguments;
  const int x = static_cast<int>(blockIdx.x * kLanes + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * kRows + threadIdx.y);
  const int dy = static_cast<int>(blockIdx.z);
  if (x >= out.columns || y >= out.rows) {
    return;
  }
  constexpr int kValues = 3 * kUnshuffle;  // channel * 4 + dx
  const auto plane = [dy](int i) { return unshuffled_plane(i / kUnshuffle, dy, i % kUnshuffle); };
  float x0[kValues];
  float before[kValues];
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    x0[i] = condition.row(plane(i), y)[x];
    before[i] = x_t.data ? x_t.row(plane(i), y)[x] : 0.0f;
  }
  if (residual.data) {
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      x0[i] = clip_unit(x0[i] + residual.row(plane(i), y)[x]);
    }
  }
  float noise[kValues] = {};
  if constexpr (kNoise) {
    const int image_y = y * kUnshuffle + dy;
#pragma unroll
    for (int dx = 0; dx < kUnshuffle; ++dx) {
      int source_x = x * kUnshuffle + dx;
      int source_y = image_y;
      if (warp.data) {
        const float* place = warp.at(image_y, source_x);
        source_x = nearest_index(__ldg(place));
        source_y = nearest_index(__ldg(place + 1));
      }
      const Normals normals = philox_normals(noise_pixel(source_x, source_y), step.step, step.seed);
      noise[dx] = normals.n0;
      noise[kUnshuffle + dx] = normals.n1;
      noise[2 * kUnshuffle + dx] = normals.n2;
    }
  }
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    const float value = posterior(x0[i], before[i], noise[i], step);
    float* const place = &out.row(plane(i), y)[x];
    *place = value;
    store_next(next, place - out.data, value);
  }
}

}  // namespace

void denoise_step_cuda(const DenoiseArguments& arguments, CudaStream stream) {
  const PlanesView<float>& out = arguments.out;
  const dim3 grid(blocks_for(out.columns, kLanes), blocks_for(out.rows, kRows), kUnshuffle);
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  const auto kernel =
      arguments.step.sigma != 0 ? denoise_step_kernel<true> : denoise_step_kernel<false>;
  kernel<<<grid, dim3(kLanes, kRows), 0, stream>>>(arguments);
  check_launch("denoise_step");
}

}  // namespace parlante
