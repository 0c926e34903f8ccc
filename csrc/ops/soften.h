// soften: where a picture changes abruptly along a line, a blur along the line.
//
// A mesh that folds, or a lid over an eye, shows either what is before or what is behind: a row of
// steps. Along such outlines a pixel becomes the weighted mean of its neighbours before and behind
// it on the line, never of those across.
#pragma once

#include <cstdint>

#include "support/views.h"

namespace parlante {

struct SoftenArguments {
  /// [H, W, C], C <= 4: changed in place.
  ImageView<std::uint8_t> image;
  /// [N, 2, 2] both ends of each line: x, y in pixels of the flow's grid.
  ImageView<const float> outlines;
  /// [h, w, 2] x, y of what each pixel of a grid over the image shows, in pixels of that grid.
  ImageView<const float> flow;
};

inline constexpr int kMaxSoftenChannels = 4;
/// Pixels of the image: a line that is longer, or not finite, is left out.
inline constexpr float kMaxOutline = 65536.0f;

/// Blurs along the lines, and one pixel to both sides of them, where neighbours in the flow's grid
/// show what is more than 3 pixels apart.
void soften(const SoftenArguments& arguments);

}  // namespace parlante
