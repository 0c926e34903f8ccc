// soften: any lines, far outside and of no length among them, over pictures down to no pixel.
#include "ops/soften.h"

#include "input.h"

namespace parlante::fuzz {
namespace {

void soften(Input& input) {
  const int rows = input.whole(0, 24), columns = input.whole(0, 24);
  const int channels = input.whole(1, kMaxSoftenChannels), lines = input.whole(0, 6);
  const int grid_rows = input.whole(0, 16), grid_columns = input.whole(0, 16);
  const Array<std::uint8_t> image =
      input.bytes(static_cast<std::size_t>(rows) * columns * channels);
  const Array<float> ends = input.floats(4 * lines, -4.0f, 20.0f);
  const Array<float> flow = input.floats(2 * grid_rows * grid_columns, -9.0f, 9.0f);
  require_same_at_levels(input, [&] {
    Array<std::uint8_t> out = image;
    parlante::soften({{out.data(), rows, columns, channels},
                      {ends.data(), lines, 2, 2},
                      {flow.data(), grid_rows, grid_columns, 2}});
    return out;
  });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::soften)
