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

PARLANTE_LOOP void pack_others_loop(const ImageView<const std::uint8_t>& reference,
                                    const float* at_x, const float* at_y, int columns, float* red,
                                    float* green, float* blue, float* valid) {
  const ImageView<const std::uint8_t> view = reference;
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const PackedOther other = pack_other(view, at_x[x], at_y[x]);
    red[x] = other.color.red;
    green[x] = other.color.green;
    blue[x] = other.color.blue;
    valid[x] = other.valid;
  }
}
constexpr PerIsa<pack_others_loop> pack_others;

/// Rows 0-2 of `images` hold the source's colours, 5-7 the reference's, 8 how far it is valid;
/// fills all of these.
PARLANTE_LOOP void pack_pairs_loop(int columns, const Rows& images) {
  float *const red = images[0], *const green = images[1], *const blue = images[2];
  float *const other_red = images[5], *const other_green = images[6];
  float* const other_blue = images[7];
  const float* const valid = images[8];
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const PackedPair pair = pack_pair({red[x], green[x], blue[x]},
                                      {other_red[x], other_green[x], other_blue[x]}, valid[x]);
    red[x] = pair.color.red;
    green[x] = pair.color.green;
    blue[x] = pair.color.blue;
    other_red[x] = pair.other.red;
    other_green[x] = pair.other.green;
    other_blue[x] = pair.other.blue;
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
    const Rows others(seen.data ? 4 * (last - first) : 0, columns, scratch);
    const auto other_row = [&](int y, int channel) { return others[4 * (y - first) + channel]; };
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
      if (seen.data) {
        split_flow(y, 4, kFlowChannels);
        pack_others(seen, at[4], at[5], columns, other_row(y, 0), other_row(y, 1), other_row(y, 2),
                    other_row(y, 3));
      }
    }
    const auto color_at = [&](int y, int x) {
      return PackedColor{color_row(y, 0)[x], color_row(y, 1)[x], color_row(y, 2)[x]};
    };
    const auto other_at = [&](int y, int x) {
      return PackedColor{other_row(y, 0)[x], other_row(y, 1)[x], other_row(y, 2)[x]};
    };
    const auto soften = [&](const auto& colors_at, int y, int x, float blur, int image) {
      const PackedColor color = soft_color(colors_at, flow.rows, columns, y, x, blur);
      images[image][x] = color.red;
      images[image + 1][x] = color.green;
      images[image + 2][x] = color.blue;
    };
    std::fill(images[5], images[kPackedImages], 0.0f);  // what they are without a reference
    for (int y = y_begin; y < y_end; ++y) {
      for (int dy = 0; dy < kUnshuffle; ++dy) {
        const int image_y = y * kUnshuffle + dy;
        std::copy_n(color_row(image_y, 0), 3 * columns, images[0]);
        if (seen.data) {
          std::copy_n(other_row(image_y, 0), 4 * columns, images[5]);
        }
        for (int x = 0; cover.data && x < columns; ++x) {
          if (const float blur = cover.row(image_y)[x]; blur > 0.0f) {
            soften(color_at, image_y, x, blur, 0);
            if (seen.data) {
              soften(other_at, image_y, x, blur, 5);
            }
          }
        }
        split_flow(image_y, 2, 4);
        std::copy_n(at[3], columns, images[3]);
        std::copy_n(at[2], columns, images[4]);
        if (seen.data) {
          pack_pairs(columns, images);
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
