// sample_rgba reads two texels at once on the CPU, so a picture has to have two columns.
#pragma once

#include <cstdint>
#include <cstring>

#include "support/scratch.h"
#include "support/views.h"

namespace parlante {

/// The picture itself, or where it has a single column a copy that has it twice.
inline ImageView<const std::uint8_t> with_two_columns(const ImageView<const std::uint8_t>& picture,
                                                      Scratch& scratch) {
  if (picture.columns != 1) {
    return picture;
  }
  const int texel = picture.channels;
  auto* const copy = scratch.take<std::uint8_t>(2 * static_cast<std::size_t>(picture.rows) * texel);
  for (std::ptrdiff_t y = 0; y < picture.rows; ++y) {
    std::memcpy(copy + 2 * y * texel, picture.data + y * texel, texel);
    std::memcpy(copy + (2 * y + 1) * texel, picture.data + y * texel, texel);
  }
  return {copy, picture.rows, 2, texel};
}

}  // namespace parlante
