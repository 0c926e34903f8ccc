// The numbers that the ops, the Python code and the training share. Python reads them from
// parlante._core, which exports them under the same names in capitals (bindings/contract.cpp).
#pragma once

#include <cstddef>

namespace parlante {

/// Of all speech that the networks hear, in Hz.
inline constexpr int kSampleRate = 16000;

// Log-mel columns: a transform of kFftSize samples every kHopLength, kMelBands triangles between
// the two frequencies, and the least power that a logarithm is taken of.
inline constexpr std::size_t kFftSize = 512;
inline constexpr std::size_t kHopLength = 160;
inline constexpr std::size_t kMelBands = 80;
inline constexpr double kMelLowHz = 20.0;
inline constexpr double kMelHighHz = 7600.0;
inline constexpr double kMelFloor = 1e-10;

// Network tensors: images pixel-unshuffled by kUnshuffle (support/unshuffle.h). A colour image
// fills kColorPlanes planes, the images that `pack` writes kPackedPlanes.
inline constexpr int kUnshuffle = 4;
inline constexpr int kColorPlanes = 3 * kUnshuffle * kUnshuffle;
inline constexpr int kPackedImages = 9;
inline constexpr int kPackedPlanes = kPackedImages * kUnshuffle * kUnshuffle;

/// Pixels to all sides over which `pack` blurs the warp along edges of lips and lids.
inline constexpr int kEdgeReach = 2;

/// Columns of the vertex attributes that `rasterize` interpolates.
inline constexpr int kMaxAttributes = 8;

}  // namespace parlante
