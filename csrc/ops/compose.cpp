#include "ops/compose.h"

#include <algorithm>

#include "support/isa.h"
#include "support/parallel_rows.h"

namespace parlante {
namespace {

/// Horizontal taps, one for each output pixel of a row.
struct Taps {
  int *first, *second;
  float *t, *clamped_t;
  int* begin;  // by grid column: the first pixel that lies right of it, or on it

  Taps(int count, int size, Scratch& scratch)
      : first(scratch.take<int>(count)),
        second(scratch.take<int>(count)),
        t(scratch.take<float>(count)),
        clamped_t(scratch.take<float>(count)),
        begin(scratch.take<int>(size)) {
    const GridMap map = grid_map(count, size);
    for (int x = 0; x < count; ++x) {
      const Tap tap = grid_tap(map(static_cast<float>(x)), size);
      first[x] = tap.first;
      second[x] = tap.second;
      t[x] = tap.t;
      clamped_t[x] = clamped_weight(tap.t);
    }
    for (int column = 0, x = 0; column < size; ++column) {
      while (x < count && std::min(first[x], second[x]) < column) {
        ++x;
      }
      begin[column] = x;
    }
  }
};

/// Three or four rows of floats behind one another.
class Rows {
 public:
  Rows(int count, int columns, Scratch& scratch)
      : columns_(columns),
        values_(scratch.take<float>(static_cast<std::size_t>(count) * columns)) {}
  float* operator[](int i) const { return values_ + static_cast<std::ptrdiff_t>(i) * columns_; }

 private:
  int columns_;
  float* values_;
};

PARLANTE_LOOP void blend_warp_rows_loop(const float* first, const float* second, float t,
                                        int channels, int columns, float* x, float* y) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < columns; ++i) {
    x[i] = lerp(first[i * channels], second[i * channels], t);
    y[i] = lerp(first[i * channels + 1], second[i * channels + 1], t);
  }
}
constexpr PerIsa<blend_warp_rows_loop> blend_warp_rows;

/// Whether the warp breaks between columns i and i + 1 of two neighbouring rows.
PARLANTE_LOOP void find_breaks_loop(const float* first, const float* second, int channels,
                                    int columns, std::uint8_t* breaks) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < columns - 1; ++i) {
    const float *top = first + i * channels, *bottom = second + i * channels;
    breaks[i] = warp_breaks(top, top + channels, bottom, bottom + channels);
  }
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

PARLANTE_LOOP void stretch_row_loop(const float* row, const int* first, const int* second,
                                    const float* t, int count, float* out) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < count; ++i) {
    out[i] = lerp(row[first[i]], row[second[i]], t[i]);
  }
}
constexpr PerIsa<stretch_row_loop> stretch_row;

/// Undoes the unshuffle for one row of a channel; x0 and c point into its plane dx = 0.
PARLANTE_LOOP void shuffle_residual_loop(const float* x0, const float* c, std::ptrdiff_t plane_size,
                                         int count, float* row) {
  for (int dx = 0; dx < kUnshuffle; ++dx) {
    PARLANTE_INDEPENDENT
    for (int x = 0; x < count; ++x) {
      row[x * kUnshuffle + dx] = residual_levels(x0[x + dx * plane_size], c[x + dx * plane_size]);
    }
  }
}
constexpr PerIsa<shuffle_residual_loop> shuffle_residual;

/// Red, green, blue and alpha of a row in levels, from where its pixels lie on the crop grid and
/// what the residual adds. Each pointer is a row of its own, of `columns` pixels.
template <Backdrop kind>
PARLANTE_LOOP void compose_row_loop(ImageView<const std::uint8_t> source, int columns,
                                    GridMap to_source_x, GridMap to_source_y, const float* grid_x,
                                    const float* grid_y, const float* residual_red,
                                    const float* residual_green, const float* residual_blue,
                                    const std::uint8_t* plate, Background background, float* red,
                                    float* green, float* blue, float* alpha) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const Rgba sample = sample_rgba(source, to_source_x(grid_x[x]), to_source_y(grid_y[x]));
    const Rgba levels = compose_levels<kind>(sample, residual_red[x], residual_green[x],
                                             residual_blue[x], plate + 3 * x, background);
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

/// Composes rows of red, green, blue, alpha. One for each thread: it keeps the residual's last
/// rows.
class RowComposer {
 public:
  RowComposer(const ComposeArguments& inputs, Scratch& scratch)
      : inputs_(inputs),
        grid_rows_(inputs.warp.rows),
        grid_columns_(inputs.warp.columns),
        to_grid_y_(grid_map(inputs.plate.rows, grid_rows_)),
        to_source_x_(grid_map(grid_columns_, inputs.plate.columns, inputs.left)),
        to_source_y_(grid_map(grid_rows_, inputs.plate.rows, inputs.top)),
        taps_(inputs.plate.columns, grid_columns_, scratch),
        residual_rows_{Rows(3, grid_columns_, scratch), Rows(3, grid_columns_, scratch)},
        blended_(5, grid_columns_, scratch),
        stretched_(5, inputs.plate.columns, scratch),
        breaks_(scratch.take<std::uint8_t>(grid_columns_)) {
    std::fill_n(breaks_, grid_columns_, 0);
  }

  void compose(int y, const Rows& out) {
    const Tap tap = grid_tap(to_grid_y_(static_cast<float>(y)), grid_rows_);
    blend_warp_rows(inputs_.warp.row(tap.first), inputs_.warp.row(tap.second), tap.t,
                    inputs_.warp.channels, grid_columns_, blended_[0], blended_[1]);
    if (inputs_.plate.rows != grid_rows_ || inputs_.plate.columns != grid_columns_) {
      find_breaks(inputs_.warp.row(tap.first), inputs_.warp.row(tap.second), inputs_.warp.channels,
                  grid_columns_, breaks_);
    }
    const float* first = residual_row(tap.first);
    const float* second = residual_row(tap.second);
    blend_rows(first, second, clamped_weight(tap.t), 3 * grid_columns_, blended_[2]);
    for (int i = 0; i < 5; ++i) {
      const float* t = i < 2 ? taps_.t : taps_.clamped_t;
      stretch_row(blended_[i], taps_.first, taps_.second, t, inputs_.plate.columns, stretched_[i]);
    }
    switch (inputs_.background.kind) {
      case Backdrop::kPlate:
        return sample<Backdrop::kPlate>(y, tap, out);
      case Backdrop::kPicture:
        return sample<Backdrop::kPicture>(y, tap, out);
      case Backdrop::kColor:
        return sample<Backdrop::kColor>(y, tap, out);
      case Backdrop::kAlpha:
        return sample<Backdrop::kAlpha>(y, tap, out);
    }
  }

 private:
  /// Row y of the residual, R, G, B behind one another; valid until row y + 2 is asked for.
  const float* residual_row(int y) {
    const Rows& row = residual_rows_[y % 2];
    if (cached_[y % 2] != y) {
      cached_[y % 2] = y;
      const PlanesView<const float>& x0 = inputs_.x0;
      for (int channel = 0; channel < 3; ++channel) {
        const int plane = unshuffled_plane(channel, y % kUnshuffle, 0);
        shuffle_residual(
            x0.row(plane, y / kUnshuffle), inputs_.condition.row(plane, y / kUnshuffle),
            static_cast<std::ptrdiff_t>(x0.rows) * x0.columns, x0.columns, row[channel]);
      }
    }
    return row[0];
  }

  template <Backdrop kind>
  void sample(int y, const Tap& row, const Rows& out) const {
    compose_row<kind>(inputs_.source, inputs_.plate.columns, to_source_x_, to_source_y_,
                      stretched_[0], stretched_[1], stretched_[2], stretched_[3], stretched_[4],
                      inputs_.plate.row(y), inputs_.background, out[0], out[1], out[2], out[3]);
    const std::uint8_t* const end = breaks_ + grid_columns_ - 1;
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
    const Rgba sample =
        sample_broken(inputs_.source, to_source_x_, to_source_y_, warp.at(row.first, left),
                      warp.at(row.first, right), warp.at(row.second, left),
                      warp.at(row.second, right), taps_.clamped_t[x], clamped_weight(row.t));
    const Rgba levels =
        compose_levels<kind>(sample, stretched_[2][x], stretched_[3][x], stretched_[4][x],
                             inputs_.plate.at(y, x), inputs_.background);
    out[0][x] = levels.r;
    out[1][x] = levels.g;
    out[2][x] = levels.b;
    out[3][x] = levels.a;
  }

  const ComposeArguments& inputs_;
  int grid_rows_, grid_columns_;
  GridMap to_grid_y_, to_source_x_, to_source_y_;
  Taps taps_;
  Rows residual_rows_[2];
  int cached_[2] = {-1, -1};
  Rows blended_;          // warp x, y, residual R, G, B of this row, on the crop grid
  Rows stretched_;        // the same at output resolution
  std::uint8_t* breaks_;  // by grid column: 1 where the warp breaks right of it
};

}  // namespace

void compose(const ComposeArguments& arguments, int threads) {
  const int rows = arguments.plate.rows;
  const int columns = arguments.plate.columns;
  const PixelFormat format = arguments.format;
  const auto out_row = [&](int y, int bytes) {
    return arguments.out + static_cast<std::ptrdiff_t>(y) * columns * bytes;
  };
  if (format == PixelFormat::kNv12) {
    parallel_rows(rows / 2, threads, [&](int begin, int end, Scratch& scratch) {
      RowComposer composer(arguments, scratch);
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
    RowComposer composer(arguments, scratch);
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
