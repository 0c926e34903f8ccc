// Sample-rate conversion by a windowed sinc, streaming, without delay.
//
// Output k is the band-limited signal at time k / out_rate. The filter is flat up to 0.95 of the
// lower of the two Nyquist frequencies (7600 Hz, the top of the mel filters, when that is 8 kHz)
// and falls by 100 dB until that Nyquist frequency: nothing aliases. It reaches 128 samples of the
// lower rate, 8 ms at 16 kHz, to either side, which is how far the output waits for the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace parlante {

/// Streaming converter. The output does not depend on how the samples are cut into calls. No
/// allocation after construction. Not thread safe; one object per stream.
class Resampler {
 public:
  static constexpr std::uint32_t kMinRate = 4000;
  static constexpr std::uint32_t kMaxRate = 768000;

  /// Throws std::invalid_argument for a rate outside [kMinRate, kMaxRate].
  Resampler(std::uint32_t in_rate, std::uint32_t out_rate);

  /// Samples that process() will return for `samples` more samples.
  std::size_t outputs_after(std::size_t samples) const;

  /// Takes finite samples and writes outputs_after(samples.size()) samples.
  /// Throws std::invalid_argument when `out` has another size.
  void process(std::span<const float> samples, std::span<float> out);

  /// Samples that flush() will return: those that still wait for input that will not come.
  std::size_t outputs_left() const;

  /// Ends the stream with silence and writes outputs_left() samples, so that n samples in have
  /// become ceil(n * out_rate / in_rate) samples out; then begins a new stream.
  void flush(std::span<float> out);

  /// Begins a new stream.
  void reset();

 private:
  std::uint64_t outputs_ready(std::uint64_t received) const;
  std::int64_t window_begin(std::uint64_t output) const;
  std::size_t take(std::span<const float> samples, float* out);
  float output(std::uint64_t phase, const float* samples) const;

  // Rates in lowest terms: output k lies at input position k * in_step_ / out_step_.
  std::uint64_t in_step_;
  std::uint64_t out_step_;
  std::size_t reach_;  ///< input samples under the filter to either side; 0 for equal rates
  std::size_t taps_;   ///< length of a row: 2 reach_, zeros before it up to whole vectors

  std::uint64_t phases_;     ///< rows per input sample: out_step_, or fewer to interpolate between
  std::vector<float> bank_;  ///< phases_ + 1 rows, the filter at offsets 0 to 1 of an input sample
  std::vector<float> window_;  ///< recent input, from window_begin(produced_) on
  std::size_t window_size_;
  std::uint64_t received_;  ///< input samples of this stream
  std::uint64_t produced_;  ///< output samples of this stream
};

}  // namespace parlante
