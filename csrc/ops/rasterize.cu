// CUDA twin of rasterize.cpp: one block a tile of pixels, one thread a pixel.
//
// The block goes through all triangles, a batch at a time: each thread prepares one triangle and
// keeps it in shared memory if its bounding box meets the tile; then each thread tests its pixel
// against the batch. No scratch memory and no atomics on the image; the order within a batch is
// random, so equal depths are decided by the triangle's index, as the CPU loop does by its order.
#include "ops/rasterize.h"
#include "support/cuda/launch.cuh"

namespace parlante {
namespace {

constexpr int kTile = 16;
constexpr int kBatch = kTile * kTile;

struct Nearest {
  float z;
  int triangle;
  Weights weights;
  std::int32_t vertex[3];
};

__device__ bool has_valid_indices(const std::int32_t* indices, int vertex_count) {
  for (int i = 0; i < 3; ++i) {
    if (indices[i] < 0 || indices[i] >= vertex_count) {
      return false;
    }
  }
  return true;
}

__device__ void keep_if_nearer(const Triangle& triangle, int index, int x, int y,
                               Nearest& nearest) {
  if (x < triangle.x_begin || x >= triangle.x_end || y < triangle.y_begin || y >= triangle.y_end) {
    return;
  }
  const std::int64_t e1 = triangle.edges[1].biased(x, y);
  const std::int64_t e2 = triangle.edges[2].biased(x, y);
  if (!covers(triangle.edges[0].biased(x, y), e1, e2)) {
    return;
  }
  const Weights weights = weights_at(triangle, e1, e2);
  const float z = interpolate(triangle.z0, triangle.dz1, triangle.dz2, weights);
  if (z < nearest.z || (z == nearest.z && index < nearest.triangle)) {
    nearest = {z, index, weights, {triangle.vertex[0], triangle.vertex[1], triangle.vertex[2]}};
  }
}

__global__ void __launch_bounds__(kBatch) rasterize_kernel(RasterizeArguments arguments) {
  const auto& [vertices, triangles, attributes, out, depth] = arguments;
  __shared__ Triangle kept[kBatch];
  __shared__ int kept_index[kBatch];
  __shared__ int kept_count;
  const int tile_x = static_cast<int>(blockIdx.x) * kTile;
  const int tile_y = static_cast<int>(blockIdx.y) * kTile;
  const int x = tile_x + static_cast<int>(threadIdx.x) % kTile;
  const int y = tile_y + static_cast<int>(threadIdx.x) / kTile;
  // A triangle at z = +inf is never drawn; nor is it here, since no index is below -1.
  Nearest nearest{INFINITY, -1, {0.0f, 0.0f}, {0, 0, 0}};

  for (int first = 0; first < triangles.rows; first += kBatch) {
    if (threadIdx.x == 0) {
      kept_count = 0;
    }
    __syncthreads();
    const int index = first + static_cast<int>(threadIdx.x);
    Triangle triangle;
    if (index < triangles.rows && has_valid_indices(triangles.row(index), vertices.rows) &&
        make_triangle(vertices, triangles.row(index), out.rows, out.columns, triangle) &&
        triangle.x_begin < tile_x + kTile && triangle.x_end > tile_x &&
        triangle.y_begin < tile_y + kTile && triangle.y_end > tile_y) {
      const int slot = atomicAdd(&kept_count, 1);
      kept[slot] = triangle;
      kept_index[slot] = index;
    }
    __syncthreads();
    for (int i = 0; i < kept_count; ++i) {
      keep_if_nearer(kept[i], kept_index[i], x, y, nearest);
    }
    __syncthreads();
  }

  if (x >= out.columns || y >= out.rows) {
    return;
  }
  *depth.at(y, x) = nearest.z;
  if (nearest.triangle < 0) {
    return;
  }
  float* pixel = out.at(y, x);
  for (int k = 0; k < attributes.columns; ++k) {
    const float a0 = attributes.row(nearest.vertex[0])[k];
    pixel[k] = interpolate(a0, attributes.row(nearest.vertex[1])[k] - a0,
                           attributes.row(nearest.vertex[2])[k] - a0, nearest.weights);
  }
}

}  // namespace

void rasterize_cuda(const RasterizeArguments& arguments, CudaStream stream) {
  require_attribute_count(arguments.attributes.columns);
  const dim3 grid(blocks_for(arguments.out.columns, kTile), blocks_for(arguments.out.rows, kTile));
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  rasterize_kernel<<<grid, kBatch, 0, stream>>>(arguments);
  check_launch("rasterize");
}

}  // namespace parlante
