#include "ops/compose.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/float_bits.h"
#include "support/isa.h"
#include "support/parallel_rows.h"
#include "support/rows.h"
#include "support/two_columns.h"

namespace parlante {
namespace {

/// Horizontal taps, one for each output pixel of a row.
struct Taps {
  int *first, *second;
  float* t;
  int* begin;  // by grid column, and past the last: the first pixel right of it, or on it

  Taps(int count, int size, Scratch& scratch)
      : first(scratch.take<int>(count)),
        second(scratch.take<int>(count)),
        t(scratch.take<float>(count)),
        begin(scratch.take<int>(size + 1)) {
    const GridMap map = grid_map(count, size);
    for (int x = 0; x < count; ++x) {
      const Tap tap = grid_tap(map(static_cast<float>(x)), size);
      first[x] = tap.first;
      second[x] = tap.second;
      t[x] = tap.t;
    }
    for (int column = 0, x = 0; column < size; ++column) {
      while (x < count && std::min(first[x], second[x]) < column) {
        ++x;
      }
      begin[column] = x;
    }
    begin[size] = count;
  }
};

/// Whether the warp breaks between columns i and i + 1 of two neighbouring rows; in the last column
/// between the rows alone.
PARLANTE_LOOP void find_breaks_loop(const float* first, const float* second, int columns,
                                    std::uint8_t* breaks) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < columns - 1; ++i) {
    const float *top = first + 2 * i, *bottom = second + 2 * i;
    breaks[i] = warp_breaks(top, top + 2, bottom, bottom + 2);
  }
  const float *top = first + 2 * (columns - 1), *bottom = second + 2 * (columns - 1);
  breaks[columns - 1] = warp_breaks(top, top, bottom, bottom);
}
constexpr PerIsa<find_breaks_loop> find_breaks;

PARLANTE_LOOP void blend_rows_loop(const float* first, const float* second, float t, int count,
                                   float* out) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < count; ++i) {
    out[i] = lerp(first[i], second[i], t);
  }
}
constexpr PerIsa<blend_rows_loop> blend_rows;

/// Place `i` of a row of x, y as one word: gathering words takes half the time.
PARLANTE_HD std::uint64_t load_place(const float* row, int i) {
  std::uint64_t place;
  std::memcpy(&place, row + 2 * static_cast<std::ptrdiff_t>(i), sizeof place);
  return place;
}
PARLANTE_HD float x_of(std::uint64_t place) {
  return bits_float(static_cast<std::uint32_t>(place));
}
PARLANTE_HD float y_of(std::uint64_t place) {
  return bits_float(static_cast<std::uint32_t>(place >> 32));
}

PARLANTE_LOOP void stretch_row_loop(const float* row, const int* first, const int* second,
                                    const float* t, int count, float* x, float* y) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < count; ++i) {
    const std::uint64_t a = load_place(row, first[i]), b = load_place(row, second[i]);
    x[i] = lerp(x_of(a), x_of(b), t[i]);
    y[i] = lerp(y_of(a), y_of(b), t[i]);
  }
}
constexpr PerIsa<stretch_row_loop> stretch_row;

/// Undoes the unshuffle for one row of a channel; x0 and c point into its plane dx = 0.
PARLANTE_LOOP void shuffle_added_loop(const float* x0, const float* c, std::ptrdiff_t plane_size,
                                      const float* cover, int count, float* row) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    for (int dx = 0; dx < kUnshuffle; ++dx) {
      const std::ptrdiff_t i = x + dx * plane_size;
      row[x * kUnshuffle + dx] = added_levels(x0[i], c[i], cover[x * kUnshuffle + dx]);
    }
  }
}
constexpr PerIsa<shuffle_added_loop> shuffle_added;

/// Adds the atlas, as shuffle_atlas has it, to the pixels from `begin` to before `end` of a row.
PARLANTE_LOOP void add_patch_loop(const PlanesView<const float>& atlas, const PatchRow& given,
                                  GridMap to_grid_x, int begin, int end, float* red, float* green,
                                  float* blue, float* cover) {
  const PatchRow patch = given;
  const int columns = atlas.columns;
  const float* of_red = atlas.row(0, 0);
  const float* of_green = atlas.row(1, 0);
  const float* of_blue = atlas.row(2, 0);
  const float* of_cover = atlas.row(3, 0);
  PARLANTE_INDEPENDENT
  for (int x = begin; x < end; ++x) {
    const float grid_x = to_grid_x(static_cast<float>(x));
    const Tap column = clamped_tap(patch.to_u(grid_x), columns);
    const Tap row = band_tap(patch.to_v(grid_x), patch.first, patch.last);
    const int top = row.first * columns, bottom = row.second * columns;
    const int a = top + column.first, b = top + column.second;
    const int c = bottom + column.first, d = bottom + column.second;
    red[x] += lerp_of_4(of_red[a], of_red[b], of_red[c], of_red[d], column.t, row.t);
    green[x] += lerp_of_4(of_green[a], of_green[b], of_green[c], of_green[d], column.t, row.t);
    blue[x] += lerp_of_4(of_blue[a], of_blue[b], of_blue[c], of_blue[d], column.t, row.t);
    cover[x] += lerp_of_4(of_cover[a], of_cover[b], of_cover[c], of_cover[d], column.t, row.t);
  }
}
constexpr PerIsa<add_patch_loop> add_patch;

/// Pixels of a row, without `end`; none where begin >= end.
struct Range {
  int begin, end;
};

/// Those of `count` pixels that lie in low..high. They are one range, since rounding keeps the
/// order of values; its ends are estimated, then moved to where the maps themselves say they are.
Range range_within(GridMap to_grid, GridMap to_atlas, int low, int high, int count) {
  float least = static_cast<float>(low), most = static_cast<float>(high);
  if (to_atlas.scale < 0.0f) {
    to_atlas = {-to_atlas.scale, -to_atlas.offset};
    std::swap(least, most);
    least = -least;
    most = -most;
  }
  const auto at = [&](int x) { return to_atlas(to_grid(static_cast<float>(x))); };
  const auto first_that = [&](float bound, const auto& holds) {
    const float guess =
        ((bound - to_atlas.offset) / to_atlas.scale - to_grid.offset) / to_grid.scale;
    int x =
        guess > 0.0f ? (guess < static_cast<float>(count) ? static_cast<int>(guess) : count) : 0;
    while (x > 0 && holds(x - 1)) {
      --x;
    }
    while (x < count && !holds(x)) {
      ++x;
    }
    return x;
  };
  return {first_that(least, [&](int x) { return at(x) >= least; }),
          first_that(most, [&](int x) { return !(at(x) <= most); })};
}

/// Red, green, blue and alpha of a row in levels, from where its pixels lie on the crop grid and
/// what patches add. Each pointer is a row of its own, of `columns` pixels.
template <Backdrop kind>
PARLANTE_LOOP void compose_row_loop(ImageView<const std::uint8_t> source, int columns,
                                    GridMap to_source_x, GridMap to_source_y, const float* grid_x,
                                    const float* grid_y, const float* added_red,
                                    const float* added_green, const float* added_blue,
                                    const float* cover, const std::uint8_t* plate,
                                    Background background, float* red, float* green, float* blue,
                                    float* alpha) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const Rgba sample = sample_rgba(source, to_source_x(grid_x[x]), to_source_y(grid_y[x]));
    const Added added{added_red[x], added_green[x], added_blue[x], cover[x]};
    const Rgba levels = compose_levels<kind>(sample, added, plate + 3 * x, background);
    red[x] = levels.r;
    green[x] = levels.g;
    blue[x] = levels.b;
    alpha[x] = levels.a;
  }
}
template <Backdrop kind>
constexpr PerIsa<compose_row_loop<kind>> compose_row;

PARLANTE_LOOP void store_three_loop(const float* first, const float* second, const float* third,
                                    int count, std::uint8_t* out) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    out[3 * x] = to_byte(first[x]);
    out[3 * x + 1] = to_byte(second[x]);
    out[3 * x + 2] = to_byte(third[x]);
  }
}
constexpr PerIsa<store_three_loop> store_three;

PARLANTE_LOOP void store_four_loop(const float* first, const float* second, const float* third,
                                   const float* fourth, int count, std::uint8_t* out) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    out[4 * x] = to_byte(first[x]);
    out[4 * x + 1] = to_byte(second[x]);
    out[4 * x + 2] = to_byte(third[x]);
    out[4 * x + 3] = to_byte(fourth[x]);
  }
}
constexpr PerIsa<store_four_loop> store_four;

PARLANTE_LOOP void store_luma_loop(const float* red, const float* green, const float* blue,
                                   int count, std::uint8_t* out) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    out[x] = luma_byte(red[x], green[x], blue[x]);
  }
}
constexpr PerIsa<store_luma_loop> store_luma;

void store_chroma(const Rows& even, const Rows& odd, int count, std::uint8_t* out) {
  for (int x = 0; x < count; x += 2) {
    const auto mean = [&](int channel) {
      return mean_of_4(even[channel][x], even[channel][x + 1], odd[channel][x],
                       odd[channel][x + 1]);
    };
    const Chroma chroma = chroma_bytes(mean(0), mean(1), mean(2));
    out[x] = chroma.blue;
    out[x + 1] = chroma.red;
  }
}

/// Composes rows of red, green, blue, alpha. One for each thread.
class RowComposer {
 public:
  RowComposer(const ComposeArguments& inputs, const PlanesView<const float>& atlas,
              Scratch& scratch)
      : inputs_(inputs),
        source_(with_two_columns(inputs.source, scratch)),
        atlas_(atlas),
        grid_rows_(inputs.warp.rows),
        grid_columns_(inputs.warp.columns),
        to_grid_x_(grid_map(inputs.plate.columns, grid_columns_)),
        to_grid_y_(grid_map(inputs.plate.rows, grid_rows_)),
        to_source_x_(grid_map(grid_columns_, inputs.plate.columns, inputs.left)),
        to_source_y_(grid_map(grid_rows_, inputs.plate.rows, inputs.top)),
        taps_(inputs.plate.columns, grid_columns_, scratch),
        blended_(1, 2 * grid_columns_, scratch),
        stretched_(2, inputs.plate.columns, scratch),
        added_(4, inputs.plate.columns, scratch),
        touched_{0, inputs.plate.columns},
        breaks_(scratch.take<std::uint8_t>(grid_columns_)) {
    std::fill_n(breaks_, grid_columns_, 0);
  }

  void compose(int y, const Rows& out) {
    const Tap tap = grid_tap(to_grid_y_(static_cast<float>(y)), grid_rows_);
    const float *first = inputs_.warp.row(tap.first), *second = inputs_.warp.row(tap.second);
    blend_rows(first, second, tap.t, 2 * grid_columns_, blended_[0]);
    stretch_row(blended_[0], taps_.first, taps_.second, taps_.t, inputs_.plate.columns,
                stretched_[0], stretched_[1]);
    find_breaks(first, second, grid_columns_, breaks_);
    add_patches(y);
    switch (inputs_.background.kind) {
      case Backdrop::kPlate:
        return sample<Backdrop::kPlate>(y, tap, out);
      case Backdrop::kColor:
        return sample<Backdrop::kColor>(y, tap, out);
      case Backdrop::kAlpha:
        return sample<Backdrop::kAlpha>(y, tap, out);
    }
  }

 private:
  /// What the patches add to row y, in `added_`.
  void add_patches(int y) {
    const int columns = inputs_.plate.columns;
    if (touched_.begin < touched_.end) {
      for (int channel = 0; channel < 4; ++channel) {
        std::fill(added_[channel] + touched_.begin, added_[channel] + touched_.end, 0.0f);
      }
    }
    touched_ = {columns, 0};
    if (!atlas_.data) {
      return;
    }
    for (int i = 0; i < inputs_.places.rows; ++i) {
      const PatchRow patch =
          patch_row(inputs_.places.row(i), inputs_.bands.row(i), to_grid_y_(static_cast<float>(y)));
      const Range u = range_within(to_grid_x_, patch.to_u, 0, atlas_.columns - 1, columns);
      const Range v = range_within(to_grid_x_, patch.to_v, patch.first, patch.last, columns);
      const Range within{std::max(u.begin, v.begin), std::min(u.end, v.end)};
      if (within.begin < within.end) {
        add_patch(atlas_, patch, to_grid_x_, within.begin, within.end, added_[0], added_[1],
                  added_[2], added_[3]);
        touched_ = {std::min(touched_.begin, within.begin), std::max(touched_.end, within.end)};
      }
    }
  }

  template <Backdrop kind>
  void sample(int y, const Tap& row, const Rows& out) const {
    compose_row<kind>(source_, inputs_.plate.columns, to_source_x_, to_source_y_, stretched_[0],
                      stretched_[1], added_[0], added_[1], added_[2], added_[3],
                      inputs_.plate.row(y), inputs_.background, out[0], out[1], out[2], out[3]);
    const std::uint8_t* const end = breaks_ + grid_columns_;
    for (const std::uint8_t* at = breaks_; (at = std::find(at, end, 1)) != end; ++at) {
      const int* begin = taps_.begin + (at - breaks_);
      for (int x = begin[0]; x < begin[1]; ++x) {
        sample_break<kind>(x, y, row, out);
      }
    }
  }

  template <Backdrop kind>
  void sample_break(int x, int y, const Tap& row, const Rows& out) const {
    const auto& warp = inputs_.warp;
    const int left = taps_.first[x], right = taps_.second[x];
    const Rgba sample = sample_broken(
        source_, to_source_x_, to_source_y_, warp.at(row.first, left), warp.at(row.first, right),
        warp.at(row.second, left), warp.at(row.second, right),
        broken_weight(taps_.t[x], inputs_.plate.columns == grid_columns_),
        broken_weight(row.t, inputs_.plate.rows == grid_rows_));
    const Added added{added_[0][x], added_[1][x], added_[2][x], added_[3][x]};
    const Rgba levels =
        compose_levels<kind>(sample, added, inputs_.plate.at(y, x), inputs_.background);
    out[0][x] = levels.r;
    out[1][x] = levels.g;
    out[2][x] = levels.b;
    out[3][x] = levels.a;
  }

  const ComposeArguments& inputs_;
  ImageView<const std::uint8_t> source_;
  PlanesView<const float> atlas_;
  int grid_rows_, grid_columns_;
  GridMap to_grid_x_, to_grid_y_, to_source_x_, to_source_y_;
  Taps taps_;
  Rows blended_;    // x, y of the warp at this row, on the crop grid
  Rows stretched_;  // the same at output resolution, x and y apart
  Rows added_;      // what patches add to R, G, B, and cover: 0 but for the pixels `touched_`
  Range touched_;
  std::uint8_t* breaks_;  // by grid column: 1 where the warp breaks at it
};

void check_bands(const TableView<const std::int32_t>& bands, int rows) {
  for (int i = 0; i < bands.rows; ++i) {
    const std::int32_t* band = bands.row(i);
    if (!is_band(band, rows)) {
      throw std::invalid_argument("bands[" + std::to_string(i) + "] = (" + std::to_string(band[0]) +
                                  ", " + std::to_string(band[1]) + "): expected rows of the " +
                                  std::to_string(rows) + " of the atlas, in order");
    }
  }
}

/// What the whole atlas adds in levels, R, G, B, and its cover: [4, N * 4h, 4w]; absent where
/// nothing.
PlanesView<const float> shuffle_atlas(const ComposeArguments& inputs, int threads,
                                      Scratch& scratch) {
  const auto& x0 = inputs.x0;
  if (!x0.data || inputs.places.rows == 0) {
    return {};
  }
  const int rows = x0.tiles * x0.rows * kUnshuffle, columns = x0.columns * kUnshuffle;
  check_bands(inputs.bands, rows);
  auto* const levels = scratch.take<float>(4 * static_cast<std::size_t>(rows) * columns);
  const PlanesView<float> atlas{levels, 4, rows, columns};
  parallel_rows(rows, threads, [&](int begin, int end, Scratch&) {
    for (int y = begin; y < end; ++y) {
      const int tile = y / kUnshuffle / x0.rows, block = y / kUnshuffle % x0.rows;
      float* const cover = atlas.row(3, y);
      if (inputs.cover.data) {
        std::copy_n(inputs.cover.row(y), columns, cover);
      } else {
        std::fill_n(cover, columns, 0.0f);
      }
      for (int channel = 0; channel < 3; ++channel) {
        const int plane = unshuffled_plane(channel, y % kUnshuffle, 0);
        shuffle_added(x0.row(tile, plane, block), inputs.condition.row(tile, plane, block),
                      static_cast<std::ptrdiff_t>(x0.rows) * x0.columns, cover, x0.columns,
                      atlas.row(channel, y));
      }
    }
  });
  return {levels, 4, rows, columns};
}

}  // namespace

void compose(const ComposeArguments& arguments, int threads) {
  // The caller's own, for what its threads share; they keep scratch memory themselves.
  thread_local Scratch shared;
  shared.clear();
  const PlanesView<const float> atlas = shuffle_atlas(arguments, threads, shared);
  const int rows = arguments.plate.rows;
  const int columns = arguments.plate.columns;
  const PixelFormat format = arguments.format;
  const auto out_row = [&](int y, int bytes) {
    return arguments.out + static_cast<std::ptrdiff_t>(y) * columns * bytes;
  };
  if (format == PixelFormat::kNv12) {
    parallel_rows(rows / 2, threads, [&](int begin, int end, Scratch& scratch) {
      RowComposer composer(arguments, atlas, scratch);
      const Rows even(4, columns, scratch), odd(4, columns, scratch);
      for (int i = begin; i < end; ++i) {
        composer.compose(2 * i, even);
        composer.compose(2 * i + 1, odd);
        store_luma(even[0], even[1], even[2], columns, out_row(2 * i, 1));
        store_luma(odd[0], odd[1], odd[2], columns, out_row(2 * i + 1, 1));
        store_chroma(even, odd, columns, out_row(rows + i, 1));
      }
    });
    return;
  }
  parallel_rows(rows, threads, [&](int begin, int end, Scratch& scratch) {
    RowComposer composer(arguments, atlas, scratch);
    const Rows row(4, columns, scratch);
    for (int y = begin; y < end; ++y) {
      composer.compose(y, row);
      if (format == PixelFormat::kRgba) {
        store_four(row[0], row[1], row[2], row[3], columns, out_row(y, 4));
      } else if (format == PixelFormat::kRgb) {
        store_three(row[0], row[1], row[2], columns, out_row(y, 3));
      } else {
        store_three(row[2], row[1], row[0], columns, out_row(y, 3));
      }
    }
  });
}

}  // namespace parlante
