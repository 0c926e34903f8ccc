// Log-mel spectrogram of 16 kHz mono speech: frame, window, real FFT, power, mel filters, log.
//
// Column j covers the 512 samples [160 j - 352, 160 j + 160), zeros before the start, so it is
// ready as soon as 160 (j + 1) samples are in. Periodic Hann window, power spectrum, 80 triangles
// on the Slaney mel scale over 20..7600 Hz with Slaney normalisation, y = ln(max(mel, 1e-10)). The
// same numbers as librosa: stft(center=False) of the signal after 352 zeros,
// filters.mel(norm="slaney", htk=False), log of the clipped product.
//
// The transform runs in double: in float the rounding of a loud band reaches into quiet ones, and
// on decoded AAC speech that cost up to 4e-3 in y (1e-6 in double).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "contract.h"
#include "support/cuda/stream.h"
#include "support/host_device.h"
#include "support/logarithm.h"

namespace parlante {

/// Zeros before the first sample.
inline constexpr std::size_t kMelHistory = kFftSize - kHopLength;

/// A real transform of kFftSize is a complex one of half the points and a last step that unfolds
/// it.
inline constexpr std::size_t kFftPoints = kFftSize / 2;

/// Size of an array of powers indexed by bin. Bin 0 is unused: like the bins from 7600 Hz up, no
/// triangle has weight there.
inline constexpr std::size_t kPowerBins = kFftPoints;

/// T is double, or a vector of doubles in the CPU loops.
template <typename T>
struct Complex {
  T re, im;
};

/// What does not depend on the signal. Trivially copyable: the CUDA op uploads it as it is.
struct LogMelTables {
  double window[kFftSize];
  Complex<double> roots[kFftSize];  ///< roots[k] = exp(-2 pi i k / kFftSize)
  /// The corners of the triangles cut the bins into segments: segment s begins at bin segments[s],
  /// ends before segments[s + 1], and lies under the rising side of band s and the falling side of
  /// band s - 1. Weights are a quarter of the filters', see power_pair.
  std::uint16_t segments[kMelBands + 2];
  float rising[kPowerBins];
  float falling[kPowerBins];

  static const LogMelTables& get();
};

/// Radix-4 butterfly: a[m] becomes the sum over q of a[q] exp(-2 pi i m q / 4).
template <typename T>
PARLANTE_HD void butterfly4(Complex<T> (&a)[4]) {
  const Complex<T> sum02{a[0].re + a[2].re, a[0].im + a[2].im};
  const Complex<T> sum13{a[1].re + a[3].re, a[1].im + a[3].im};
  const Complex<T> difference02{a[0].re - a[2].re, a[0].im - a[2].im};
  const Complex<T> difference13{a[1].re - a[3].re, a[1].im - a[3].im};
  a[0] = {sum02.re + sum13.re, sum02.im + sum13.im};
  a[1] = {difference02.re + difference13.im, difference02.im - difference13.re};
  a[2] = {sum02.re - sum13.re, sum02.im - sum13.im};
  a[3] = {difference02.re - difference13.im, difference02.im + difference13.re};
}

template <typename T>
PARLANTE_HD void multiply(const Complex<T>& a, const Complex<double>& b, Complex<T>& out) {
  out = {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/// Where the in-place passes leave X[k], k < 64; X[k + 64 m], m < 4, come out of the last butterfly
/// over it and the three places after it.
PARLANTE_HD constexpr std::size_t last_butterfly(std::size_t k) {
  return ((k & 3) << 4 | (k & 12) | k >> 4) << 2;  // base-4 digits reversed
}

/// Samples far outside [-1, 1] saturate the power instead of overflowing the float sums over it.
inline constexpr double kLargestPower = 1e36;

/// Four times the powers of the real transform's bins k and kFftPoints - k, out of the complex
/// transform's points at these places; root = roots[k].
template <typename T>
PARLANTE_HD void power_pair(const Complex<T>& at_k, const Complex<T>& at_mirror,
                            const Complex<double>& root, T& power_k, T& power_mirror) {
  const Complex<T> even{at_k.re + at_mirror.re, at_k.im - at_mirror.im};
  const Complex<T> turned{at_k.im + at_mirror.im, at_mirror.re - at_k.re};
  Complex<T> odd;
  multiply(turned, root, odd);
  const Complex<T> sum{even.re + odd.re, even.im + odd.im};
  const Complex<T> difference{even.re - odd.re, even.im - odd.im};
  const T p = sum.re * sum.re + sum.im * sum.im;
  const T q = difference.re * difference.re + difference.im * difference.im;
  power_k = p < kLargestPower ? p : kLargestPower;
  power_mirror = q < kLargestPower ? q : kLargestPower;
}

/// ln(max(x, kMelFloor)); x must be finite.
PARLANTE_HD float log_floored(float x) {
  constexpr float kFloor = static_cast<float>(kMelFloor);
  return natural_log(x > kFloor ? x : kFloor);
}

/// Streaming extractor. The columns do not depend on how the samples are cut into calls. No
/// allocation after construction. Not thread safe; one object per stream.
class LogMel {
 public:
  /// Keeps the isa_level() of its making.
  LogMel();
  ~LogMel();
  LogMel(LogMel&&) noexcept;
  LogMel& operator=(LogMel&&) noexcept;

  /// Columns that `samples` more samples will complete.
  std::size_t columns_after(std::size_t samples) const;

  /// Takes finite samples in [-1, 1] and writes columns_after(samples.size()) columns of kMelBands.
  /// Throws std::invalid_argument when `columns` has another size.
  void process(std::span<const float> samples, std::span<float> columns);

  /// Forgets what was taken: the next sample is the first of a stream.
  void reset();

 private:
  struct Workspace;

  std::unique_ptr<Workspace> workspace_;
  std::array<float, kFftSize> history_;  ///< samples that a later column still covers
  std::size_t history_size_;             ///< kMelHistory <= history_size_ < kFftSize
};

/// CUDA twin for whole signals. Owns the tables, on the device that is current when it is made.
class LogMelCuda {
 public:
  /// Throws std::runtime_error when the device refuses.
  LogMelCuda();

  /// samples[count], finite, and columns[count / kHopLength * kMelBands] lie on the device; the
  /// work is queued on `stream`. The columns differ from the CPU's in no bit.
  void run(const float* samples, std::size_t count, float* columns, CudaStream stream) const;

 private:
  struct Free {
    void operator()(LogMelTables* tables) const;
  };

  std::unique_ptr<LogMelTables, Free> tables_;
};

}  // namespace parlante
