// rasterize: any triangles, indices out of range among them, over images down to no pixel.
#include "ops/rasterize.h"

#include <stdexcept>

#include "input.h"

namespace parlante::fuzz {
namespace {

void rasterize(Input& input) {
  const int rows = input.whole(0, 24), columns = input.whole(0, 24);
  const int vertices = input.whole(0, 12), triangles = input.whole(0, 16);
  const int attributes = input.whole(1, kMaxAttributes), threads = input.threads();
  const Array<float> places = input.floats(3 * vertices, -4.0f, 28.0f);
  const Array<float> values = input.floats(attributes * vertices, -1.0f, 1.0f);
  const bool within = input.chance();
  Array<std::int32_t> indices(3 * triangles);
  for (std::int32_t& index : indices.span()) {
    const auto any = input.bits<std::int32_t>();
    index = within && vertices > 0
                ? static_cast<std::int32_t>(static_cast<std::uint32_t>(any) % vertices)
                : any;
  }
  require_same_at_levels(input, [&] {
    Array<float> out(static_cast<std::size_t>(rows) * columns * attributes);
    Array<float> depth(static_cast<std::size_t>(rows) * columns);
    try {
      parlante::rasterize({{places.data(), vertices, 3},
                           {indices.data(), triangles, 3},
                           {values.data(), vertices, attributes},
                           {out.data(), rows, columns, attributes},
                           {depth.data(), rows, columns, 1}},
                          threads);
    } catch (const std::invalid_argument&) {
    }
    return out;
  });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::rasterize)
