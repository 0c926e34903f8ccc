#include "ops/rasterize.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "support/parallel_rows.h"

namespace parlante {
namespace {

void check_indices(const TableView<const std::int32_t>& triangles, int vertex_count) {
  const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(triangles.rows) * 3;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::int32_t index = triangles.data[i];
    if (index < 0 || index >= vertex_count) {
      throw std::invalid_argument("triangles[" + std::to_string(i / 3) + ", " +
                                  std::to_string(i % 3) + "] = " + std::to_string(index) +
                                  ": expected an index of one of the " +
                                  std::to_string(vertex_count) + " vertices");
    }
  }
}

// `channels` is a constant where A is, so that the innermost loop unrolls.
template <int A>
void draw(const Triangle& triangle, const TableView<const float>& attributes, int y_begin,
          int y_end, const ImageView<float>& out, const ImageView<float>& depth) {
  float a0[A], da1[A], da2[A];
  for (int k = 0; k < A; ++k) {
    a0[k] = attributes.row(triangle.vertex[0])[k];
    da1[k] = attributes.row(triangle.vertex[1])[k] - a0[k];
    da2[k] = attributes.row(triangle.vertex[2])[k] - a0[k];
  }
  const Edge* edges = triangle.edges;
  for (int y = std::max(triangle.y_begin, y_begin); y < std::min(triangle.y_end, y_end); ++y) {
    int x = triangle.x_begin;
    std::int64_t e0 = edges[0].biased(x, y);
    std::int64_t e1 = edges[1].biased(x, y);
    std::int64_t e2 = edges[2].biased(x, y);
    const auto step = [&] {
      ++x;
      e0 += edges[0].step_x;
      e1 += edges[1].step_x;
      e2 += edges[2].step_x;
    };
    // A triangle is convex: a row holds one run of covered pixels.
    while (x < triangle.x_end && !covers(e0, e1, e2)) {
      step();
    }
    float* depth_row = depth.row(y);
    for (; x < triangle.x_end && covers(e0, e1, e2); step()) {
      const Weights weights = weights_at(triangle, e1, e2);
      const float z = interpolate(triangle.z0, triangle.dz1, triangle.dz2, weights);
      if (z < depth_row[x]) {
        depth_row[x] = z;
        float* pixel = out.data + (static_cast<std::ptrdiff_t>(y) * out.columns + x) * A;
        for (int k = 0; k < A; ++k) {
          pixel[k] = interpolate(a0[k], da1[k], da2[k], weights);
        }
      }
    }
  }
}

using Draw = void (*)(const Triangle&, const TableView<const float>&, int, int,
                      const ImageView<float>&, const ImageView<float>&);
constexpr Draw kDraw[kMaxAttributes] = {draw<1>, draw<2>, draw<3>, draw<4>,
                                        draw<5>, draw<6>, draw<7>, draw<8>};

}  // namespace

void require_attribute_count(int count) {
  if (count < 1 || count > kMaxAttributes) {
    throw std::invalid_argument("attributes: expected 1 to " + std::to_string(kMaxAttributes) +
                                " columns, got " + std::to_string(count));
  }
}

void rasterize(const RasterizeArguments& arguments, int threads) {
  const auto& [vertices, triangles, attributes, out, depth] = arguments;
  require_attribute_count(attributes.columns);
  check_indices(triangles, vertices.rows);
  // Each part prepares the triangles anew: some 20 ns each, and no scratch memory to own.
  parallel_rows(out.rows, threads, [&](int y_begin, int y_end, Scratch&) {
    std::fill(depth.row(y_begin), depth.row(y_end), std::numeric_limits<float>::infinity());
    for (int i = 0; i < triangles.rows; ++i) {
      Triangle triangle;
      if (make_triangle(vertices, triangles.row(i), out.rows, out.columns, triangle)) {
        kDraw[attributes.columns - 1](triangle, attributes, y_begin, y_end, out, depth);
      }
    }
  });
}

}  // namespace parlante
