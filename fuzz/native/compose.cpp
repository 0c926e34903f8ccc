// compose: any warp and patches over frames of odd sizes, in every format and over every backdrop.
#include "ops/compose.h"

#include <stdexcept>

#include "input.h"

namespace parlante::fuzz {
namespace {

/// Of the atlas; mostly a band that lies within it.
Array<std::int32_t> bands_of(Input& input, int count, int atlas_rows) {
  const bool within = input.byte() % 8 != 0;
  Array<std::int32_t> bands(2 * static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    if (within) {
      bands.data()[2 * i] = input.whole(0, atlas_rows);
      bands.data()[2 * i + 1] = input.whole(bands.data()[2 * i], atlas_rows);
    } else {
      bands.data()[2 * i] = input.bits<std::int32_t>();
      bands.data()[2 * i + 1] = input.bits<std::int32_t>();
    }
  }
  return bands;
}

void compose(Input& input) {
  const auto format = static_cast<PixelFormat>(input.byte() % 4);
  const bool even = format == PixelFormat::kNv12;
  const int rows = even ? 2 * input.whole(1, 8) : input.whole(1, 17);
  const int columns = even ? 2 * input.whole(1, 12) : input.whole(1, 25);
  const int left = input.whole(0, 3), top = input.whole(0, 3);
  const int source_rows = top + rows + input.whole(0, 3);
  const int source_columns = left + columns + input.whole(0, 3);
  const int grid_rows = input.whole(1, 20), grid_columns = input.whole(1, 20);
  const int tiles = input.whole(1, 3), h = input.whole(1, 3), w = input.whole(1, 3);
  const int planes = kColorPlanes + input.whole(0, 1), patches = input.whole(0, 3);
  const bool has_x0 = input.chance(), has_cover = input.chance();
  const int threads = input.threads();
  auto kind = static_cast<Backdrop>(input.byte() % 3);
  if (kind == Backdrop::kAlpha && format != PixelFormat::kRgba) {
    kind = Backdrop::kColor;
  }
  const auto level = [&] { return static_cast<float>(input.byte()); };
  const Background background{kind, level(), level(), level()};

  const std::size_t values = static_cast<std::size_t>(tiles) * kColorPlanes * h * w;
  const int atlas_rows = tiles * kUnshuffle * h, atlas_columns = kUnshuffle * w;
  const Array<float> places = input.floats(6 * static_cast<std::size_t>(patches), -2.0f, 2.0f);
  const Array<std::int32_t> bands = bands_of(input, patches, atlas_rows);
  const Array<float> warp =
      input.floats(2 * static_cast<std::size_t>(grid_rows) * grid_columns, -3.0f, 23.0f);
  const Array<float> x0 = input.floats(has_x0 ? values : 0, -1.0f, 1.0f);
  const Array<float> condition =
      input.floats(has_x0 ? values / kColorPlanes * planes : 0, -1.0f, 1.0f);
  const Array<float> cover = input.floats(
      has_cover ? static_cast<std::size_t>(atlas_rows) * atlas_columns : 0, 0.0f, 1.0f);
  const Array<std::uint8_t> source = input.bytes(4 * source_rows * source_columns);
  const Array<std::uint8_t> plate = input.bytes(3 * rows * columns);
  const int out_size =
      even ? rows * columns * 3 / 2 : rows * columns * (format == PixelFormat::kRgba ? 4 : 3);

  require_same_at_levels(input, [&] {
    Array<std::uint8_t> out(out_size);
    ComposeArguments arguments{};
    arguments.source = {source.data(), source_rows, source_columns, 4};
    arguments.left = left;
    arguments.top = top;
    arguments.plate = {plate.data(), rows, columns, 3};
    arguments.warp = {warp.data(), grid_rows, grid_columns, 2};
    if (has_x0) {
      arguments.x0 = {x0.data(), tiles, kColorPlanes, h, w};
      arguments.condition = {condition.data(), tiles, planes, h, w};
    }
    if (has_cover) {
      arguments.cover = {cover.data(), atlas_rows, atlas_columns};
    }
    arguments.places = {places.data(), patches, 2, 3};
    arguments.bands = {bands.data(), patches, 2};
    arguments.out = out.data();
    arguments.format = format;
    arguments.background = background;
    try {
      parlante::compose(arguments, threads);
    } catch (const std::invalid_argument&) {
    }
    return out;
  });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::compose)
