// pack: any flow over images down to one pixel, with and without what may be absent.
#include "ops/pack.h"

#include "input.h"

namespace parlante::fuzz {
namespace {

void pack(Input& input) {
  const int h = input.whole(0, 4), w = input.whole(0, 4), threads = input.threads();
  const int rows = h * kUnshuffle, columns = w * kUnshuffle, pixels = rows * columns;
  const int source_rows = input.whole(1, 12), source_columns = input.whole(1, 12);
  const int other_rows = input.whole(1, 12), other_columns = input.whole(1, 12);
  const bool has_other = input.chance(), has_inside = input.chance(), has_cover = input.chance();
  const Array<float> flow = input.floats(kFlowChannels * pixels, -1.0f, 13.0f);
  const Array<float> inside = input.floats(has_inside ? 4 * pixels : 0, -1.0f, 1.0f);
  const Array<float> cover = input.floats(has_cover ? pixels : 0, 0.0f, 1.0f);
  const Array<std::uint8_t> source = input.bytes(4 * source_rows * source_columns);
  const Array<std::uint8_t> other = input.bytes(has_other ? 4 * other_rows * other_columns : 0);
  require_same_at_levels(input, [&] {
    Array<float> condition(kPackedPlanes * h * w);
    PackArguments arguments{};
    arguments.source = {source.data(), source_rows, source_columns, 4};
    arguments.flow = {flow.data(), rows, columns, kFlowChannels};
    if (has_other) {
      arguments.reference = {other.data(), other_rows, other_columns, 4};
    }
    if (has_inside) {
      arguments.inside = {inside.data(), rows, columns, 4};
    }
    if (has_cover) {
      arguments.cover = {cover.data(), rows, columns};
    }
    arguments.condition = {condition.data(), kPackedPlanes, h, w};
    parlante::pack(arguments, threads);
    return condition;
  });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::pack)
