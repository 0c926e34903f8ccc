#include "ops/soften.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "support/sampling.h"

namespace parlante {
namespace {

constexpr float kJump = 3.0f;
// Of what is so many pixels away on the line, on either side.
constexpr float kWeights[] = {3.0f / 15, 3.0f / 15, 2.0f / 15, 1.0f / 15};

struct Point {
  float x;
  float y;
};

/// A pixel that changes, and what it becomes. Written at the end: its neighbours read it as it was.
struct Change {
  std::ptrdiff_t at;
  std::uint8_t colour[kMaxSoftenChannels];
};

/// Whether the neighbours of a place in the flow's grid show two things.
bool jumps(const ImageView<const float>& flow, Point place) {
  const auto within = [](float value, int size) {
    return static_cast<int>(std::clamp(value, 1.0f, static_cast<float>(size - 2)));
  };
  const int x = within(place.x, flow.columns), y = within(place.y, flow.rows);
  const float *left = flow.at(y, x - 1), *right = flow.at(y, x + 1);
  const float *above = flow.at(y - 1, x), *below = flow.at(y + 1, x);
  return std::fabs(right[0] - left[0] - 2) > kJump || std::fabs(right[1] - left[1]) > kJump ||
         std::fabs(below[0] - above[0]) > kJump || std::fabs(below[1] - above[1] - 2) > kJump;
}

/// The mean of what lies along a line of unit direction `along` through the pixel.
Change changed(const ImageView<std::uint8_t>& image, int x, int y, Point along) {
  float sum[kMaxSoftenChannels] = {};
  for (int step = -3; step <= 3; ++step) {
    const float far = static_cast<float>(step);
    const Tap tap_x = clamped_tap(static_cast<float>(x) + far * along.x, image.columns);
    const Tap tap_y = clamped_tap(static_cast<float>(y) + far * along.y, image.rows);
    for (int c = 0; c < image.channels; ++c) {
      const auto at = [&](int row, int column) {
        return static_cast<float>(image.at(row, column)[c]);
      };
      sum[c] += kWeights[std::abs(step)] *
                lerp_of_4(at(tap_y.first, tap_x.first), at(tap_y.first, tap_x.second),
                          at(tap_y.second, tap_x.first), at(tap_y.second, tap_x.second), tap_x.t,
                          tap_y.t);
    }
  }
  Change change{image.at(y, x) - image.data, {}};
  for (int c = 0; c < image.channels; ++c) {
    change.colour[c] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(sum[c]), 0.0f, 255.0f));
  }
  return change;
}

}  // namespace

void soften(const SoftenArguments& arguments) {
  const auto& [image, outlines, flow] = arguments;
  if (flow.rows < 3 || flow.columns < 3) {
    return;  // no pixel has neighbours
  }
  const float scale_x = static_cast<float>(image.columns) / static_cast<float>(flow.columns);
  const float scale_y = static_cast<float>(image.rows) / static_cast<float>(flow.rows);
  thread_local std::vector<Change> changes;
  changes.clear();
  for (int line = 0; line < outlines.rows; ++line) {
    const auto end = [&](int number) {
      const float* place = outlines.at(line, number);
      return Point{(place[0] + 0.5f) * scale_x - 0.5f, (place[1] + 0.5f) * scale_y - 0.5f};
    };
    const Point from = end(0), to = end(1), way = {to.x - from.x, to.y - from.y};
    const float length = std::hypot(way.x, way.y);
    if (!(length <= kMaxOutline)) {
      continue;
    }
    const Point along = {way.x / std::max(length, 1e-6f), way.y / std::max(length, 1e-6f)};
    const int count = static_cast<int>(std::ceil(length));
    for (int i = 0; i < count; ++i) {
      const float share = static_cast<float>(i) / static_cast<float>(count);
      for (int side = -1; side <= 1; ++side) {
        const float off = static_cast<float>(side);
        const float x = std::nearbyint(from.x + share * way.x - off * along.y);
        const float y = std::nearbyint(from.y + share * way.y + off * along.x);
        if (x >= 0 && x < static_cast<float>(image.columns) && y >= 0 &&
            y < static_cast<float>(image.rows) &&
            jumps(flow, {(x + 0.5f) / scale_x - 0.5f, (y + 0.5f) / scale_y - 0.5f})) {
          changes.push_back(changed(image, static_cast<int>(x), static_cast<int>(y), along));
        }
      }
    }
  }
  for (const Change& change : changes) {
    std::copy_n(change.colour, image.channels, image.data + change.at);
  }
}

}  // namespace parlante
