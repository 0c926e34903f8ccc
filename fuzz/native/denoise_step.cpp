// denoise_step: any numbers, with and without what may be absent, in place, and the next input.
#include "ops/denoise_step.h"

#include <algorithm>

#include "input.h"

namespace parlante::fuzz {
namespace {

void denoise_step(Input& input) {
  const int h = input.whole(0, 5), w = input.whole(0, 5), threads = input.threads();
  const int planes = kColorPlanes + input.whole(0, 2), channels = input.whole(2, 6);
  const std::size_t size = static_cast<std::size_t>(kColorPlanes) * h * w;
  const bool has_residual = input.chance(), has_warp = input.chance(), in_place = input.chance();
  const int next = input.byte() % 3;
  DenoiseStep step{input.number(-1.0f, 1.0f), input.number(-1.0f, 1.0f), input.number(0.0f, 1.0f),
                   input.bits<std::uint64_t>(), input.bits<std::uint32_t>()};
  const bool has_before = input.chance();
  if (!has_before) {
    step.c_xt = 0.0f;
  }
  const float given_scale = input.number(0.001f, 1.0f);
  const float scale = given_scale > 0.0f ? given_scale : 1.0f;
  const auto zero_point = static_cast<float>(input.byte());
  const Array<float> residual = input.floats(has_residual ? size : 0, -1.0f, 1.0f);
  const Array<float> before = input.floats(has_before ? size : 0, -1.0f, 1.0f);
  const Array<float> condition =
      input.floats(static_cast<std::size_t>(planes) * h * w, -1.0f, 1.0f);
  const Array<float> warp =
      input.floats(has_warp ? 16 * static_cast<std::size_t>(h) * w * channels : 0, -1.0f, 21.0f);

  require_same_at_levels(input, [&] {
    Array<float> out(size);
    Array<Half> halves(next == 1 ? size : 0);
    Array<std::uint8_t> bytes(next == 2 ? size : 0);
    DenoiseArguments arguments{};
    if (has_residual) {
      arguments.residual = {residual.data(), kColorPlanes, h, w};
    }
    if (has_before) {
      arguments.x_t = {before.data(), kColorPlanes, h, w};
      if (in_place) {
        std::copy_n(before.data(), size, out.data());
        arguments.x_t.data = out.data();
      }
    }
    arguments.condition = {condition.data(), planes, h, w};
    if (has_warp) {
      arguments.warp = {warp.data(), kUnshuffle * h, kUnshuffle * w, channels};
    }
    arguments.out = {out.data(), kColorPlanes, h, w};
    arguments.next = {next == 1 ? halves.data() : nullptr, next == 2 ? bytes.data() : nullptr,
                      scale, zero_point};
    arguments.step = step;
    parlante::denoise_step(arguments, threads);
    return out;
  });
}

}  // namespace
}  // namespace parlante::fuzz

PARLANTE_FUZZ(parlante::fuzz::denoise_step)
