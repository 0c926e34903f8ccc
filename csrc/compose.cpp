#include "compose.h"

#include "parallel_rows.h"
#include "target_clones.h"

namespace parlante {
namespace {

struct Inputs {
  ImageView<const std::uint8_t> source;
  ImageView<const std::uint8_t> plate;
  ImageView<const float> warp;
  PlanesView<const float> x0;
  PlanesView<const float> condition;
  Background background;
};

/// Horizontal taps, one for each output pixel of a row.
struct Taps {
  int *first, *second;
  float *t, *clamped_t;

  Taps(int count, int size, Scratch& scratch)
      : first(scratch.take<int>(count)),
        second(scratch.take<int>(count)),
        t(scratch.take<float>(count)),
        clamped_t(scratch.take<float>(count)) {
    const GridMap map = grid_map(count, size);
    for (int x = 0; x < count; ++x) {
      const Tap tap = grid_tap(map(static_cast<float>(x)), size);
      first[x] = tap.first;
      second[x] = tap.second;
      t[x] = tap.t;
      clamped_t[x] = clamped_weight(tap.t);
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

PARLANTE_TARGET_CLONES
void blend_warp_rows(const float* first, const float* second, float t, int channels, int columns,
                     float* __restrict x, float* __restrict y) {
  for (int i = 0; i < columns; ++i) {
    x[i] = lerp(first[i * channels], second[i * channels], t);
    y[i] = lerp(first[i * channels + 1], second[i * channels + 1], t);
  }
}

PARLANTE_TARGET_CLONES
void blend_rows(const float* first, const float* second, float t, int count,
                float* __restrict out) {
  for (int i = 0; i < count; ++i) {
    out[i] = lerp(first[i], second[i], t);
  }
}

PARLANTE_TARGET_CLONES
void stretch_row(const float* __restrict row, const int* __restrict first,
                 const int* __restrict second, const float* __restrict t, int count,
                 float* __restrict out) {
  for (int i = 0; i < count; ++i) {
    out[i] = lerp(row[first[i]], row[second[i]], t[i]);
  }
}

/// Undoes the unshuffle for one row of a channel; x0 and c point into its plane dx = 0.
PARLANTE_TARGET_CLONES
void shuffle_residual(const float* x0, const float* c, std::ptrdiff_t plane_size, int count,
                      float* __restrict row) {
  for (int dx = 0; dx < kUnshuffle; ++dx) {
    for (int x = 0; x < count; ++x) {
      row[x * kUnshuffle + dx] = residual_levels(x0[x + dx * plane_size], c[x + dx * plane_size]);
    }
  }
}

/// Red, green, blue and alpha of a row in levels, from where its pixels lie on the crop grid and
/// what the residual adds. Each pointer is a row of its own, all of source.columns pixels.
template <Backdrop kind>
PARLANTE_TARGET_CLONES void compose_row(ImageView<const std::uint8_t> source, GridMap to_source_x,
                                        GridMap to_source_y, const float* __restrict grid_x,
                                        const float* __restrict grid_y,
                                        const float* __restrict residual_red,
                                        const float* __restrict residual_green,
                                        const float* __restrict residual_blue,
                                        const std::uint8_t* __restrict plate, Background background,
                                        float* __restrict red, float* __restrict green,
                                        float* __restrict blue, float* __restrict alpha) {
  for (int x = 0; x < source.columns; ++x) {
    const Rgba sample = sample_rgba(source, to_source_x(grid_x[x]), to_source_y(grid_y[x]));
    red[x] =
        compose_channel<kind>(sample.r, sample.a, residual_red[x], plate[3 * x], background.red);
    green[x] = compose_channel<kind>(sample.g, sample.a, residual_green[x], plate[3 * x + 1],
                                     background.green);
    blue[x] = compose_channel<kind>(sample.b, sample.a, residual_blue[x], plate[3 * x + 2],
                                    background.blue);
    alpha[x] = sample.a;
  }
}

PARLANTE_TARGET_CLONES
void store_three(const float* __restrict first, const float* __restrict second,
                 const float* __restrict third, int count, std::uint8_t* __restrict out) {
  for (int x = 0; x < count; ++x) {
    out[3 * x] = to_byte(first[x]);
    out[3 * x + 1] = to_byte(second[x]);
    out[3 * x + 2] = to_byte(third[x]);
  }
}

PARLANTE_TARGET_CLONES
void store_four(const float* __restrict first, const float* __restrict second,
                const float* __restrict third, const float* __restrict fourth, int count,
                std::uint8_t* __restrict out) {
  for (int x = 0; x < count; ++x) {
    out[4 * x] = to_byte(first[x]);
    out[4 * x + 1] = to_byte(second[x]);
    out[4 * x + 2] = to_byte(third[x]);
    out[4 * x + 3] = to_byte(fourth[x]);
  }
}

PARLANTE_TARGET_CLONES
void store_luma(const float* __restrict red, const float* __restrict green,
                const float* __restrict blue, int count, std::uint8_t* __restrict out) {
  for (int x = 0; x < count; ++x) {
    out[x] = luma_byte(red[x], green[x], blue[x]);
  }
}

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
  RowComposer(const Inputs& inputs, Scratch& scratch)
      : inputs_(inputs),
        grid_rows_(inputs.warp.rows),
        grid_columns_(inputs.warp.columns),
        to_grid_y_(grid_map(inputs.source.rows, grid_rows_)),
        to_source_x_(grid_map(grid_columns_, inputs.source.columns)),
        to_source_y_(grid_map(grid_rows_, inputs.source.rows)),
        taps_(inputs.source.columns, grid_columns_, scratch),
        residual_rows_{Rows(3, grid_columns_, scratch), Rows(3, grid_columns_, scratch)},
        blended_(5, grid_columns_, scratch),
        stretched_(5, inputs.source.columns, scratch) {}

  void compose(int y, const Rows& out) {
    const Tap tap = grid_tap(to_grid_y_(static_cast<float>(y)), grid_rows_);
    blend_warp_rows(inputs_.warp.row(tap.first), inputs_.warp.row(tap.second), tap.t,
                    inputs_.warp.channels, grid_columns_, blended_[0], blended_[1]);
    const float* first = residual_row(tap.first);
    const float* second = residual_row(tap.second);
    blend_rows(first, second, clamped_weight(tap.t), 3 * grid_columns_, blended_[2]);
    for (int i = 0; i < 5; ++i) {
      const float* t = i < 2 ? taps_.t : taps_.clamped_t;
      stretch_row(blended_[i], taps_.first, taps_.second, t, inputs_.source.columns, stretched_[i]);
    }
    switch (inputs_.background.kind) {
      case Backdrop::kPlate:
        return sample<Backdrop::kPlate>(y, out);
      case Backdrop::kPicture:
        return sample<Backdrop::kPicture>(y, out);
      case Backdrop::kColor:
        return sample<Backdrop::kColor>(y, out);
      case Backdrop::kAlpha:
        return sample<Backdrop::kAlpha>(y, out);
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
  void sample(int y, const Rows& out) const {
    compose_row<kind>(inputs_.source, to_source_x_, to_source_y_, stretched_[0], stretched_[1],
                      stretched_[2], stretched_[3], stretched_[4], inputs_.plate.row(y),
                      inputs_.background, out[0], out[1], out[2], out[3]);
  }

  const Inputs& inputs_;
  int grid_rows_, grid_columns_;
  GridMap to_grid_y_, to_source_x_, to_source_y_;
  Taps taps_;
  Rows residual_rows_[2];
  int cached_[2] = {-1, -1};
  Rows blended_;    // warp x, y, residual R, G, B of this row, on the crop grid
  Rows stretched_;  // the same at output resolution
};

}  // namespace

void compose(ImageView<const std::uint8_t> source, ImageView<const std::uint8_t> plate,
             ImageView<const float> warp, PlanesView<const float> x0,
             PlanesView<const float> condition, std::uint8_t* out, PixelFormat format,
             Background background, int threads) {
  const Inputs inputs{source, plate, warp, x0, condition, background};
  const int columns = source.columns;
  const auto out_row = [&](int y, int bytes) {
    return out + static_cast<std::ptrdiff_t>(y) * columns * bytes;
  };
  if (format == PixelFormat::kNv12) {
    parallel_rows(source.rows / 2, threads, [&](int begin, int end, Scratch& scratch) {
      RowComposer composer(inputs, scratch);
      const Rows even(4, columns, scratch), odd(4, columns, scratch);
      for (int i = begin; i < end; ++i) {
        composer.compose(2 * i, even);
        composer.compose(2 * i + 1, odd);
        store_luma(even[0], even[1], even[2], columns, out_row(2 * i, 1));
        store_luma(odd[0], odd[1], odd[2], columns, out_row(2 * i + 1, 1));
        store_chroma(even, odd, columns, out_row(source.rows + i, 1));
      }
    });
    return;
  }
  parallel_rows(source.rows, threads, [&](int begin, int end, Scratch& scratch) {
    RowComposer composer(inputs, scratch);
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
