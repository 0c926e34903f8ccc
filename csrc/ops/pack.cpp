#include "ops/pack.h"

#include "support/isa.h"
#include "support/parallel_rows.h"

namespace parlante {
namespace {

/// Packs one row of pixels; image i of the eight goes to images[i * columns ...].
PARLANTE_LOOP void pack_row_loop(const ImageView<const std::uint8_t>& source,
                                 const std::uint8_t* plate, const float* warp,
                                 const float* interior, int columns, float* images) {
  const ImageView<const std::uint8_t> view = source;
  PARLANTE_INDEPENDENT
  for (int x = 0; x < columns; ++x) {
    const PackedPixel pixel = pack_pixel(view, plate + 3 * x, warp + 3 * x, interior + 3 * x);
    images[x] = pixel.red;
    images[x + columns] = pixel.green;
    images[x + 2 * columns] = pixel.blue;
    images[x + 3 * columns] = pixel.matte;
    images[x + 4 * columns] = pixel.mouth;
    images[x + 5 * columns] = pixel.interior_red;
    images[x + 6 * columns] = pixel.interior_green;
    images[x + 7 * columns] = pixel.interior_blue;
  }
}
constexpr PerIsa<pack_row_loop> pack_row;

PARLANTE_LOOP void unshuffle_row_loop(const float* image, int count, float* plane) {
  PARLANTE_INDEPENDENT
  for (int x = 0; x < count; ++x) {
    plane[x] = image[x * kUnshuffle];
  }
}
constexpr PerIsa<unshuffle_row_loop> unshuffle_row;

/// Taps of one row of blocks, as offsets into a plane of the features.
struct FeatureRow {
  FeatureRow(int columns, Scratch& scratch)
      : count(columns),
        t00(scratch.take<int>(columns)),
        t01(scratch.take<int>(columns)),
        t10(scratch.take<int>(columns)),
        t11(scratch.take<int>(columns)),
        tx(scratch.take<float>(columns)),
        ty(scratch.take<float>(columns)) {}

  int count;
  int *t00, *t01, *t10, *t11;
  float *tx, *ty;
};

void find_feature_taps(const float* warp, int columns, const PlanesView<const float>& features,
                       FeatureRow& row) {
  for (int x = 0; x < row.count; ++x) {
    const FeatureTaps taps =
        feature_taps(warp + x * kUnshuffle * 3, columns, features.rows, features.columns);
    row.t00[x] = taps.y.first * features.columns + taps.x.first;
    row.t01[x] = taps.y.first * features.columns + taps.x.second;
    row.t10[x] = taps.y.second * features.columns + taps.x.first;
    row.t11[x] = taps.y.second * features.columns + taps.x.second;
    row.tx[x] = taps.x.t;
    row.ty[x] = taps.y.t;
  }
}

PARLANTE_LOOP void sample_features_loop(const float* plane, const FeatureRow& row, float* out) {
  const int* t00 = row.t00;
  const int* t01 = row.t01;
  const int* t10 = row.t10;
  const int* t11 = row.t11;
  const float* tx = row.tx;
  const float* ty = row.ty;
  PARLANTE_INDEPENDENT
  for (int x = 0; x < row.count; ++x) {
    out[x] = sample_plane(plane, t00[x], t01[x], t10[x], t11[x], tx[x], ty[x]);
  }
}
constexpr PerIsa<sample_features_loop> sample_features;

}  // namespace

void pack(const PackArguments& arguments, int threads) {
  const auto& [source, plate, warp, interior, features, condition] = arguments;
  const int columns = warp.columns;
  parallel_rows(condition.rows, threads, [&](int y_begin, int y_end, Scratch& scratch) {
    auto* const images = scratch.take<float>(static_cast<std::size_t>(kPackedImages) * columns);
    FeatureRow taps(condition.columns, scratch);
    for (int y = y_begin; y < y_end; ++y) {
      for (int dy = 0; dy < kUnshuffle; ++dy) {
        const int image_y = y * kUnshuffle + dy;
        pack_row(source, plate.row(image_y), warp.row(image_y), interior.row(image_y), columns,
                 images);
        for (int image = 0; image < kPackedImages; ++image) {
          for (int dx = 0; dx < kUnshuffle; ++dx) {
            unshuffle_row(images + image * columns + dx, condition.columns,
                          condition.row(unshuffled_plane(image, dy, dx), y));
          }
        }
      }
      find_feature_taps(warp.row(y * kUnshuffle), columns, features, taps);
      for (int feature = 0; feature < features.planes; ++feature) {
        sample_features(features.row(feature, 0), taps, condition.row(kPackedPlanes + feature, y));
      }
    }
  });
}

}  // namespace parlante
