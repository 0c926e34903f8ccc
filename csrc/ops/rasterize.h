// rasterize: triangles -> depth-tested image of interpolated vertex attributes (backward warps,
// geometry maps).
//
// Coverage is decided in integers: vertices snap to a grid of 2^-12 pixel, and a pixel centre on
// an edge belongs to the triangle for which that edge is a top or a left one. Triangles that share
// an edge therefore cover each pixel along it exactly once, whatever the float rounding.
// Weights come from the same integers, so an interpolated attribute never leaves the range of
// its three vertices (by more than rounding), slivers included.
#pragma once

#include <cmath>
#include <cstdint>

#include "contract.h"
#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/views.h"

namespace parlante {

struct RasterizeArguments {
  /// [V, 3] x, y in pixels (pixel centres at integers), z: smaller is nearer.
  TableView<const float> vertices;
  /// [F, 3] vertex indices, either winding.
  TableView<const std::int32_t> triangles;
  /// [V, A], A <= kMaxAttributes, interpolated affinely at the pixel centres.
  TableView<const float> attributes;
  /// [H, W, A]; pixels that no triangle covers keep their value.
  ImageView<float> out;
  /// [H, W, 1] scratch: the depth of the nearest triangle, +inf where there is none.
  ImageView<float> depth;
};

/// Draws the triangles. Of those at equal depth the first wins. Triangles with a vertex that is not
/// finite or further than kMaxCoordinate from the origin, and triangles without area, are skipped.
/// Throws std::invalid_argument on a vertex index out of range.
void rasterize(const RasterizeArguments& arguments, int threads);

/// The same in device memory, queued on `stream`. Triangles with an index out of range are skipped.
void rasterize_cuda(const RasterizeArguments& arguments, CudaStream stream);

/// Throws std::invalid_argument unless 1 <= count <= kMaxAttributes.
void require_attribute_count(int count);

// 2^17 pixels on a grid of 2^-12 fill 30 bits; a product of two differences, doubled, fits 64.
inline constexpr float kMaxCoordinate = 131072.0f;
inline constexpr int kSubpixelBits = 12;

/// One edge function: value(x, y) = origin + x * step_x + y * step_y at the pixel centre (x, y),
/// in units of 2^-24 square pixels; zero on the edge, positive inside.
struct Edge {
  std::int64_t origin;
  std::int64_t step_x;
  std::int64_t step_y;
  std::int64_t bias;  // 0 for a top or a left edge, else -1: value + bias >= 0 means covered

  PARLANTE_HD std::int64_t biased(int x, int y) const {
    return origin + bias + x * step_x + y * step_y;
  }
};

/// A triangle ready to be sampled. Vertex order is chosen so that the area is positive.
struct Triangle {
  Edge edges[3];  // edges[i] lies opposite vertex[i]
  std::int32_t vertex[3];
  float inverse_area;
  float z0, dz1, dz2;
  int x_begin, x_end, y_begin, y_end;  // the pixels whose centres the bounding box holds
};

/// Weights of the second and third vertex at a pixel; the first has the rest.
struct Weights {
  float w1;
  float w2;
};

struct SubpixelPoint {
  std::int64_t x;
  std::int64_t y;
};

PARLANTE_HD bool on_grid(const float* vertex) {
  // Also false for NaN.
  return std::fabs(vertex[0]) <= kMaxCoordinate && std::fabs(vertex[1]) <= kMaxCoordinate &&
         std::fabs(vertex[2]) <= 3.402823466e38f;
}

PARLANTE_HD SubpixelPoint snap(const float* vertex) {
  constexpr float scale = 1 << kSubpixelBits;
  return {std::llrint(vertex[0] * scale), std::llrint(vertex[1] * scale)};
}

PARLANTE_HD Edge make_edge(SubpixelPoint from, SubpixelPoint to) {
  // step_x = 0 and step_y > 0: a top edge; step_x > 0: a left one (y points down).
  const std::int64_t step_x = from.y - to.y;
  const std::int64_t step_y = to.x - from.x;
  const bool top_left = step_x > 0 || (step_x == 0 && step_y > 0);
  return {-(step_x * from.x + step_y * from.y), step_x << kSubpixelBits, step_y << kSubpixelBits,
          top_left ? 0 : -1};
}

/// First pixel centre at or after the subpixel coordinate, clamped to [0, size].
PARLANTE_HD int first_pixel(std::int64_t coordinate, int size) {
  const std::int64_t pixel = (coordinate + (1 << kSubpixelBits) - 1) >> kSubpixelBits;
  return static_cast<int>(pixel < 0 ? 0 : (pixel > size ? size : pixel));
}

/// Prepares triangle (a, b, c) for an image of the given size; false when there is nothing to draw.
PARLANTE_HD bool make_triangle(const TableView<const float>& vertices, const std::int32_t* indices,
                               int rows, int columns, Triangle& triangle) {
  std::int32_t a = indices[0];
  std::int32_t b = indices[1];
  std::int32_t c = indices[2];
  if (!on_grid(vertices.row(a)) || !on_grid(vertices.row(b)) || !on_grid(vertices.row(c))) {
    return false;
  }
  const SubpixelPoint p0 = snap(vertices.row(a));
  SubpixelPoint p1 = snap(vertices.row(b));
  SubpixelPoint p2 = snap(vertices.row(c));
  std::int64_t area = (p1.x - p0.x) * (p2.y - p0.y) - (p2.x - p0.x) * (p1.y - p0.y);
  if (area == 0) {
    return false;
  }
  if (area < 0) {
    area = -area;
    const SubpixelPoint p = p1;
    p1 = p2;
    p2 = p;
    const std::int32_t i = b;
    b = c;
    c = i;
  }
  const auto least = [](std::int64_t i, std::int64_t j, std::int64_t k) {
    return i < j ? (i < k ? i : k) : (j < k ? j : k);
  };
  triangle.x_begin = first_pixel(least(p0.x, p1.x, p2.x), columns);
  triangle.y_begin = first_pixel(least(p0.y, p1.y, p2.y), rows);
  triangle.x_end = first_pixel(1 - least(-p0.x, -p1.x, -p2.x), columns);
  triangle.y_end = first_pixel(1 - least(-p0.y, -p1.y, -p2.y), rows);
  if (triangle.x_begin >= triangle.x_end || triangle.y_begin >= triangle.y_end) {
    return false;
  }
  triangle.edges[0] = make_edge(p1, p2);
  triangle.edges[1] = make_edge(p2, p0);
  triangle.edges[2] = make_edge(p0, p1);
  triangle.vertex[0] = a;
  triangle.vertex[1] = b;
  triangle.vertex[2] = c;
  triangle.inverse_area = 1.0f / static_cast<float>(area);
  triangle.z0 = vertices.row(a)[2];
  triangle.dz1 = vertices.row(b)[2] - triangle.z0;
  triangle.dz2 = vertices.row(c)[2] - triangle.z0;
  return true;
}

PARLANTE_HD bool covers(std::int64_t biased0, std::int64_t biased1, std::int64_t biased2) {
  return (biased0 | biased1 | biased2) >= 0;
}

PARLANTE_HD Weights weights_at(const Triangle& triangle, std::int64_t biased1,
                               std::int64_t biased2) {
  return {static_cast<float>(biased1 - triangle.edges[1].bias) * triangle.inverse_area,
          static_cast<float>(biased2 - triangle.edges[2].bias) * triangle.inverse_area};
}

PARLANTE_HD float interpolate(float a0, float da1, float da2, Weights weights) {
  return a0 + weights.w1 * da1 + weights.w2 * da2;
}

}  // namespace parlante
