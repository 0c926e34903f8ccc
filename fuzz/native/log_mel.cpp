// LogMel: samples in pieces, which give what they give at once.
#include "ops/log_mel.h"

#include "input.h"

namespace parlante::fuzz {
namespace {

Array<float> columns_of(std::span<const float> samples, std::size_t first) {
  LogMel log_mel;
  const std::size_t begin = log_mel.columns_after(first) * kMelBands;
  Array<float> columns(log_mel.columns_after(samples.size()) * kMelBands);
  log_mel.process(samples.first(first), columns.span().first(begin));
  log_mel.process(samples.subspan(first), columns.span().subspan(begin));
  return columns;
}

void log_mel(Input& input) {
  const Array<float> samples = input.finite_floats(input.whole(0, 4000));
  const std::size_t first = input.whole(0, static_cast<int>(samples.size));
  const Array<float> whole = columns_of(samples.span(), samples.size);
  for (const float value : whole.span()) {
    require(std::isfinite(value));
  }
  require(same(whole, columns_of(samples.span(), first)));
  require_same_at_levels(input, [&] { return columns_of(samples.span(), samples.size); });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::log_mel)
