// The check that keeps NaN and infinity out of the audio ops.
#pragma once

#include <cstddef>
#include <span>

namespace parlante {

/// Index of the first NaN or infinite sample; samples.size() when there is none.
std::size_t first_non_finite(std::span<const float> samples);

}  // namespace parlante
