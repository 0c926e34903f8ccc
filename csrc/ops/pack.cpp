#include "ops/pack.h"

#include <algorithm>

#include "support/isa.h"
#include "support/parallel_rows.h"
#include "support/rows.h"
#include "support/two_columns.h"

namespace parlante {
namespace {

/// Every kStep-th of some values.
template <int kStep>
PARLANTE_LOOP void copy_every_loop(const float* values, int count, float* out) {
  PARLANTE_INDEPENDENT
  for (int i = 0; i < count; ++i) {
    out[i] = values[i * kStep];
  }
}
template <int kStep>
constexpr PerIsa<copy_every_loop<kStep>> copy_every;

PARLANTE_LOOP void pack_colors_loop(const ImageView<const std::uint8_t>& source, const float* at_x,
                                    const float* at_y, int columns, float* red, float* green,
                                    float* blue) {
  const ImageView<const std::uint8_t> view = source;
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const PackedColor color = pack_color(view, at_x[x], at_y[x]);
    red[x] = color.red;
    green[x] = color.green;
    blue[x] = color.blue;
  }
}
constexpr PerIsa<pack_colors_loop> pack_colors;

/// Rows 0-2 of `images` hold the source's colours; fills these and 5-8.
PARLANTE_LOOP void pack_pairs_loop(const ImageView<const std::uint8_t>& reference,
                                   const float* at_x, const float* at_y, int columns,
                                   const Rows& images) {
  const ImageView<const std::uint8_t> view = reference;
  float *const red = images[0], *const green = images[1], *const blue = images[2];
  float *const other_red = images[5], *const other_green = images[6];
  float *const other_blue = images[7], *const valid = images[8];
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const PackedPair pair = pack_pair({red[x], green[x], blue[x]}, view, at_x[x], at_y[x]);
    red[x] = pair.color.red;
    green[x] = pair.color.green;
    blue[x] = pair.color.blue;
    other_red[x] = pair.other.red;
    other_green[x] = pair.other.green;
    other_blue[x] = pair.other.blue;
    valid[x] = pair.valid;
  }
}
constexpr PerIsa<pack_pairs_loop> pack_pairs;

}  // namespace

void pack(const PackArguments& arguments, int threads) {
  const auto& [source, reference, flow, inside, cover, condition] = arguments;
  const int columns = flow.columns;
  parallel_rows(condition.rows, threads, [&](int y_begin, int y_end, Scratch& scratch) {
    const auto photo = with_two_columns(source, scratch);
    const auto seen = with_two_columns(reference, scratch);
    // The loops want each channel in a row of its own.
    const Rows at(kFlowChannels, columns, scratch), images(kPackedImages, columns, scratch);
    const auto split_flow = [&](int y, int begin, int end) {
      for (int channel = begin; channel < end; ++channel) {
        copy_every<kFlowChannels>(flow.row(y) + channel, columns, at[channel]);
      }
    };
    // Colours of these rows and of those that a blur sees beside them.
    const int first = std::max(0, y_begin * kUnshuffle - kEdgeReach);
    const int last = std::min(flow.rows, y_end * kUnshuffle + kEdgeReach);
    const Rows colors(3 * (last - first), columns, scratch);
    const auto color_row = [&](int y, int channel) { return colors[3 * (y - first) + channel]; };
    for (int y = first; y < last; ++y) {
      split_flow(y, 0, 2);
      float *const red = color_row(y, 0), *const green = color_row(y, 1);
      float* const blue = color_row(y, 2);
      pack_colors(photo, at[0], at[1], columns, red, green, blue);
      for (int x = 0; inside.data && x < columns; ++x) {
        const PackedColor color = laid_over({red[x], green[x], blue[x]}, inside.at(y, x));
        red[x] = color.red;
        green[x] = color.green;
        blue[x] = color.blue;
      }
    }
    const auto color_at = [&](int y, int x) {
      return PackedColor{color_row(y, 0)[x], color_row(y, 1)[x], color_row(y, 2)[x]};
    };
    std::fill(images[5], images[kPackedImages], 0.0f);  // what they are without a reference
    for (int y = y_begin; y < y_end; ++y) {
      for (int dy = 0; dy < kUnshuffle; ++dy) {
        const int image_y = y * kUnshuffle + dy;
        std::copy_n(color_row(image_y, 0), 3 * columns, images[0]);
        for (int x = 0; cover.data && x < columns; ++x) {
          if (const float blur = cover.row(image_y)[x]; blur > 0.0f) {
            const PackedColor color = soft_color(color_at, flow.rows, columns, image_y, x, blur);
            images[0][x] = color.red;
            images[1][x] = color.green;
            images[2][x] = color.blue;
          }
        }
        split_flow(image_y, 2, kFlowChannels);
        std::copy_n(at[3], columns, images[3]);
        std::copy_n(at[2], columns, images[4]);
        if (seen.data) {
          pack_pairs(seen, at[4], at[5], columns, images);
        }
        for (int image = 0; image < kPackedImages; ++image) {
          for (int dx = 0; dx < kUnshuffle; ++dx) {
            copy_every<kUnshuffle>(images[image] + dx, condition.columns,
                                   condition.row(unshuffled_plane(image, dy, dx), y));
          }
        }
      }
    }
  });
}

}  // namespace parlante
