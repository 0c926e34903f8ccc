#include "ops/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <string>

#include "support/isa.h"
#include "support/lanes.h"

namespace parlante {
namespace {

/// Half the filter's length in samples of the lower rate. Kaiser's formula: a transition of 5 % of
/// the Nyquist frequency and kAttenuation dB need (100 - 7.95) / (14.36 * 0.025) = 256 in all.
constexpr double kReach = 128.0;
constexpr double kAttenuation = 100.0;
constexpr double kKaiserBeta = 0.1102 * (kAttenuation - 8.7);
/// Middle of the transition, in Nyquist frequencies of the lower rate.
constexpr double kCutoff = 0.975;

/// Rows per sample of the lower rate from which the rows between them can be interpolated: linear
/// interpolation then errs by less than (pi / 512)^2 / 8 = -106 dB.
constexpr double kDensity = 512.0;

/// Partial sums of the dot product: two 512-bit vectors, so that additions overlap. Fixed, as their
/// number decides how the result is rounded.
constexpr std::size_t kPartialSums = 32;

/// Input samples that one step copies into the window.
constexpr std::size_t kSlice = 4096;

/// Modified Bessel function of the first kind, order 0, by its power series.
double bessel_i0(double x) {
  const double quarter = x * x / 4.0;
  double sum = 1.0, term = 1.0;
  for (int k = 1; term > 1e-17 * sum; ++k) {
    term *= quarter / (static_cast<double>(k) * k);
    sum += term;
  }
  return sum;
}

/// The Kaiser-windowed sinc at `t` samples of the lower rate from its middle.
double windowed_sinc(double t) {
  if (std::abs(t) >= kReach) {
    return 0.0;
  }
  static const double scale = 1.0 / bessel_i0(kKaiserBeta);
  const double angle = std::numbers::pi * kCutoff * t;
  const double sinc = t == 0.0 ? 1.0 : std::sin(angle) / angle;
  const double position = t / kReach;
  return sinc * scale * bessel_i0(kKaiserBeta * std::sqrt(1.0 - position * position));
}

template <std::size_t kLanes>
PARLANTE_LOOP float dot_loop(const float* row, const float* samples, std::size_t taps) {
  using L = Lanes<kLanes>;
  typename L::Floats vectors[kPartialSums / kLanes] = {};
  for (std::size_t i = 0; i < taps; i += kPartialSums) {
    for (std::size_t v = 0; v < kPartialSums / kLanes; ++v) {
      typename L::Floats a, b;
      L::load(&row[i + v * kLanes], a);
      L::load(&samples[i + v * kLanes], b);
      vectors[v] += a * b;
    }
  }
  float sums[kPartialSums];
  std::memcpy(sums, vectors, sizeof sums);
  for (std::size_t width = kPartialSums / 2; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) {
      sums[lane] += sums[lane + width];
    }
  }
  return sums[0];
}
#if PARLANTE_VECTOR_TYPES
constexpr PerIsa<dot_loop<4>, dot_loop<8>, dot_loop<16>> dot;
#else
constexpr PerIsa<dot_loop<1>> dot;
#endif

void require_rate(std::uint32_t rate, const char* name) {
  if (rate < Resampler::kMinRate || rate > Resampler::kMaxRate) {
    throw std::invalid_argument(
        std::string(name) + ": expected " + std::to_string(Resampler::kMinRate) + " to " +
        std::to_string(Resampler::kMaxRate) + " Hz, got " + std::to_string(rate));
  }
}

void require_size(std::size_t expected, std::size_t got) {
  if (expected != got) {
    throw std::invalid_argument("out: expected " + std::to_string(expected) + " samples, got " +
                                std::to_string(got));
  }
}

}  // namespace

Resampler::Resampler(std::uint32_t in_rate, std::uint32_t out_rate) {
  require_rate(in_rate, "in_rate");
  require_rate(out_rate, "out_rate");
  const std::uint32_t divisor = std::gcd(in_rate, out_rate);
  in_step_ = in_rate / divisor;
  out_step_ = out_rate / divisor;
  if (in_step_ == out_step_) {
    reach_ = taps_ = 0;
    phases_ = 1;
  } else {
    // Samples of the lower rate per input sample.
    const double scale = std::min(1.0, static_cast<double>(out_rate) / in_rate);
    reach_ = static_cast<std::size_t>(std::ceil(kReach / scale));
    taps_ = (2 * reach_ + kPartialSums - 1) / kPartialSums * kPartialSums;
    phases_ = std::min(out_step_, static_cast<std::uint64_t>(std::ceil(kDensity * scale)));
    bank_.resize((phases_ + 1) * taps_);
    for (std::uint64_t phase = 0; phase <= phases_; ++phase) {
      const double offset = static_cast<double>(phase) / static_cast<double>(phases_);
      const double first = static_cast<double>(window_begin(0)) - offset;
      float* row = &bank_[phase * taps_];
      double sum = 0.0;
      for (std::size_t i = 0; i < taps_; ++i) {
        const double value = windowed_sinc((first + static_cast<double>(i)) * scale);
        row[i] = static_cast<float>(value);
        sum += value;
      }
      // A gain of 1 at 0 Hz for every phase, else a constant would come out with a ripple.
      for (std::size_t i = 0; i < taps_; ++i) {
        row[i] = static_cast<float>(row[i] / sum);
      }
    }
    window_.resize(taps_ + kSlice);
  }
  reset();
}

std::size_t Resampler::outputs_after(std::size_t samples) const {
  return outputs_ready(received_ + samples) - produced_;
}

void Resampler::process(std::span<const float> samples, std::span<float> out) {
  require_size(outputs_after(samples.size()), out.size());
  float* next = out.data();
  while (!samples.empty()) {
    const std::span<const float> slice = samples.first(std::min(samples.size(), kSlice));
    next += take(slice, next);
    samples = samples.subspan(slice.size());
  }
}

std::size_t Resampler::outputs_left() const { return outputs_after(reach_); }

void Resampler::flush(std::span<float> out) {
  require_size(outputs_left(), out.size());
  constexpr std::array<float, 256> kSilence{};
  float* next = out.data();
  for (std::size_t left = reach_; left > 0;) {
    const std::size_t count = std::min(left, kSilence.size());
    next += take(std::span(kSilence).first(count), next);
    left -= count;
  }
  reset();
}

void Resampler::reset() {
  received_ = produced_ = 0;
  window_size_ = taps_ - reach_ - (taps_ > 0);
  std::fill_n(window_.begin(), window_size_, 0.0f);
}

/// Outputs that `received` input samples decide: those whose filter ends before sample `received`.
std::uint64_t Resampler::outputs_ready(std::uint64_t received) const {
  if (received <= reach_) {
    return 0;
  }
  return ((received - reach_) * out_step_ + in_step_ - 1) / in_step_;
}

/// The input position of the first coefficient of an output's row.
std::int64_t Resampler::window_begin(std::uint64_t output) const {
  const auto place = static_cast<std::int64_t>(output * in_step_ / out_step_ + reach_ + 1);
  return place - static_cast<std::int64_t>(taps_);
}

/// Takes at most kSlice samples; returns how many it wrote.
std::size_t Resampler::take(std::span<const float> samples, float* out) {
  received_ += samples.size();
  if (taps_ == 0) {
    std::copy(samples.begin(), samples.end(), out);
    produced_ += samples.size();
    return samples.size();
  }
  std::copy(samples.begin(), samples.end(), window_.data() + window_size_);
  window_size_ += samples.size();

  const std::int64_t begin = window_begin(produced_);
  const std::size_t count = outputs_ready(received_) - produced_;
  for (std::size_t i = 0; i < count; ++i, ++produced_) {
    const std::uint64_t phase = produced_ * in_step_ % out_step_;
    out[i] = output(phase, &window_[window_begin(produced_) - begin]);
  }

  const auto passed = static_cast<std::size_t>(window_begin(produced_) - begin);
  std::copy(window_.data() + passed, window_.data() + window_size_, window_.data());
  window_size_ -= passed;
  return count;
}

/// The filter that lies phase / out_step_ after an input sample, applied to the window.
float Resampler::output(std::uint64_t phase, const float* samples) const {
  const std::uint64_t place = phase * phases_;
  const float* row = &bank_[place / out_step_ * taps_];
  const float below = dot(row, samples, taps_);
  const std::uint64_t rest = place % out_step_;
  if (rest == 0) {
    return below;
  }
  const float above = dot(row + taps_, samples, taps_);
  return below + static_cast<float>(rest) / static_cast<float>(out_step_) * (above - below);
}

}  // namespace parlante
