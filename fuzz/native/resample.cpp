// Resampler: samples in pieces, which give what they give at once, and flushes in between.
#include "ops/resample.h"

#include <map>

#include "input.h"

namespace parlante::fuzz {
namespace {

constexpr std::uint32_t kRates[][2] = {
    {16000, 16000}, {8000, 16000},  {11025, 16000}, {22050, 16000}, {44100, 16000}, {48000, 16000},
    {24000, 48000}, {16000, 48000}, {16000, 44100}, {44100, 48000}, {4000, 24000},  {96000, 4000},
    {16001, 15999}, {47999, 16000}, {12000, 11999}, {192000, 4001}};

/// Making one takes milliseconds; a stream begins anew with `reset`.
Resampler& resampler_of(Input& input) {
  static std::map<std::size_t, Resampler> kept;
  const std::size_t pair = input.byte() % std::size(kRates);
  const auto found = kept.try_emplace(pair, kRates[pair][0], kRates[pair][1]).first;
  found->second.reset();
  return found->second;
}

Array<float> resampled(Resampler& resampler, std::span<const float> samples, std::size_t first) {
  const std::size_t begin = resampler.outputs_after(first);
  const std::size_t most = 1000 * (samples.size() + 1024);
  const std::size_t total = resampler.outputs_after(samples.size());
  require(begin <= total && total <= most);
  Array<float> out(total);
  resampler.process(samples.first(first), out.span().first(begin));
  resampler.process(samples.subspan(first), out.span().subspan(begin));
  Array<float> rest(resampler.outputs_left());
  resampler.flush(rest.span());
  return out;
}

void resample(Input& input) {
  Resampler& resampler = resampler_of(input);
  const Array<float> samples = input.finite_floats(input.whole(0, 300));
  const std::size_t first = input.whole(0, static_cast<int>(samples.size));
  const Array<float> whole = resampled(resampler, samples.span(), samples.size);
  require(same(whole, resampled(resampler, samples.span(), first)));
  require_same_at_levels(input, [&] { return resampled(resampler, samples.span(), samples.size); });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::resample)
