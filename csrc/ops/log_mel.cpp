#include "ops/log_mel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <new>
#include <numbers>
#include <stdexcept>
#include <string>

#include "support/isa.h"
#include "support/lanes.h"

namespace parlante {
namespace {

// Neighbouring columns are computed side by side, one per vector lane, so that every step is the
// same arithmetic on adjacent memory and a column's bits depend neither on its neighbours nor on
// their number. A block is as many columns as a vector of a level (isa.h) has doubles.
#if PARLANTE_VECTOR_TYPES
constexpr std::size_t kLanesOf[] = {2, 4, 8};
#else
constexpr std::size_t kLanesOf[] = {1};
#endif
constexpr std::size_t kMaxLanes = *std::max_element(std::begin(kLanesOf), std::end(kLanesOf));

/// Hops of kHopLength samples that a column reaches into, and the samples of the last of them.
constexpr std::size_t kHops = (kFftSize + kHopLength - 1) / kHopLength;
constexpr std::size_t kLastHop = kFftSize - (kHops - 1) * kHopLength;

/// The Slaney scale: linear to 1 kHz, logarithmic above.
constexpr double kLinearHzPerMel = 200.0 / 3.0;
constexpr double kBreakHz = 1000.0;
constexpr double kBreakMel = kBreakHz / kLinearHzPerMel;
const double kLogStep = std::log(6.4) / 27.0;

double hz_to_mel(double hz) {
  return hz < kBreakHz ? hz / kLinearHzPerMel : kBreakMel + std::log(hz / kBreakHz) / kLogStep;
}

double mel_to_hz(double mel) {
  return mel < kBreakMel ? mel * kLinearHzPerMel
                         : kBreakHz * std::exp(kLogStep * (mel - kBreakMel));
}

LogMelTables make_tables() {
  LogMelTables tables{};
  for (std::size_t i = 0; i < kFftSize; ++i) {
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) / kFftSize;
    tables.window[i] = 0.5 - 0.5 * std::cos(angle);
    tables.roots[i] = {std::cos(angle), -std::sin(angle)};
  }

  const double mel_low = hz_to_mel(kMelLowHz);
  const double mel_step = (hz_to_mel(kMelHighHz) - mel_low) / (kMelBands + 1);
  const auto corner = [&](std::size_t i) {
    return mel_to_hz(mel_low + mel_step * static_cast<double>(i));
  };
  std::size_t bin = 0;
  const auto hz = [&] { return static_cast<double>(bin) * kSampleRate / kFftSize; };
  while (hz() < corner(0)) {
    ++bin;
  }
  for (std::size_t s = 0; s <= kMelBands; ++s) {
    tables.segments[s] = static_cast<std::uint16_t>(bin);
    const double low = corner(s), high = corner(s + 1);
    for (; hz() < high; ++bin) {
      // Slaney's triangles have area 1: height 2 / width.
      const double share = (hz() - low) / (high - low);
      if (s < kMelBands) {
        tables.rising[bin] = static_cast<float>(0.25 * share * 2.0 / (corner(s + 2) - low));
      }
      if (s > 0) {
        tables.falling[bin] =
            static_cast<float>(0.25 * (1.0 - share) * 2.0 / (high - corner(s - 1)));
      }
    }
  }
  tables.segments[kMelBands + 1] = static_cast<std::uint16_t>(bin);
  return tables;
}

/// One block of kLanes columns. Vector types instead of loops over lanes, as compilers left to
/// themselves pick other loops to vectorise.
template <std::size_t kLanes>
struct Block {
  using L = Lanes<kLanes>;
  using Doubles = typename L::Doubles;
  using Floats = typename L::Floats;
  using Point = Complex<Doubles>;

  // A row holds kLanes + 3 samples; the pitch keeps every vector of them within a cache line.
  static constexpr std::size_t kPitch = 2 * kLanes > kLanes + kHops ? 2 * kLanes : kLanes + kHops;

  float hops[kHopLength][kPitch];  ///< hops[r][c] = sample 160 c + r
  Point points[kFftPoints];
  Floats power[kPowerBins];
  float mel[kMelBands][kLanes];

  /// Lays the samples out by hop, so that one sample of all columns is adjacent.
  PARLANTE_HD void split_hops(const float* samples, std::size_t columns) {
    std::size_t c = 0;
    if (columns == kLanes) {
      for (std::size_t r = 0; r < kHopLength; r += kLanes) {
        Floats rows[kLanes];
        for (std::size_t i = 0; i < kLanes; ++i) {
          L::load(&samples[i * kHopLength + r], rows[i]);
        }
        L::transpose(rows);
        for (std::size_t i = 0; i < kLanes; ++i) {
          L::store(rows[i], hops[r + i]);
        }
      }
      c = kLanes;
    } else {
      std::memset(hops, 0, sizeof hops);
    }
    for (; c < columns + kHops - 1; ++c) {
      const std::size_t rows = c < columns + kHops - 2 ? kHopLength : kLastHop;
      for (std::size_t r = 0; r < rows; ++r) {
        hops[r][c] = samples[c * kHopLength + r];
      }
    }
  }

  /// Where split_hops puts sample i of the first column.
  static constexpr auto kPlaces = [] {
    std::array<std::uint16_t, kFftSize> places{};
    for (std::size_t i = 0; i < kFftSize; ++i) {
      places[i] = static_cast<std::uint16_t>(i % kHopLength * kPitch + i / kHopLength);
    }
    return places;
  }();

  PARLANTE_HD void window(const LogMelTables& tables, std::size_t sample, Doubles& out) const {
    L::widen(&hops[0][0] + kPlaces[sample], out);
    out *= tables.window[sample];
  }

  /// Window and first pass of the transform: radix-4 decimation in frequency, in place.
  PARLANTE_HD void first_pass(const LogMelTables& tables) {
    constexpr std::size_t kQuarter = kFftPoints / 4;
    for (std::size_t j = 0; j < kQuarter; ++j) {
      Point a[4];
      for (std::size_t m = 0; m < 4; ++m) {
        window(tables, 2 * (j + m * kQuarter), a[m].re);
        window(tables, 2 * (j + m * kQuarter) + 1, a[m].im);
      }
      butterfly4(a);
      points[j] = a[0];
      for (std::size_t m = 1; m < 4; ++m) {
        multiply(a[m], tables.roots[2 * m * j], points[j + m * kQuarter]);
      }
    }
  }

  /// A middle pass: sub-transforms of `size` points become four of size / 4 each.
  PARLANTE_HD void middle_pass(const LogMelTables& tables, std::size_t size) {
    const std::size_t quarter = size / 4, stride = kFftSize / size;
    for (Point* p = points; p < points + kFftPoints; p += size) {
      for (std::size_t j = 0; j < quarter; ++j) {
        Point a[4];
        for (std::size_t m = 0; m < 4; ++m) {
          a[m] = p[j + m * quarter];
        }
        butterfly4(a);
        p[j] = a[0];
        for (std::size_t m = 1; m < 4; ++m) {
          multiply(a[m], tables.roots[stride * m * j], p[j + m * quarter]);
        }
      }
    }
  }

  PARLANTE_HD void store_pair(const LogMelTables& tables, const Point& at_k, const Point& at_mirror,
                              std::size_t k) {
    Doubles power_k, power_mirror;
    power_pair(at_k, at_mirror, tables.roots[k], power_k, power_mirror);
    L::narrow(power_k, power[k]);
    L::narrow(power_mirror, power[kFftPoints - k]);
  }

  /// last_butterfly as a table: Clang would compute pairs of places in vectors, whose way to an
  /// address is long.
  static constexpr auto kButterflies = [] {
    std::array<std::uint16_t, kFftPoints / 4> places{};
    for (std::size_t k = 0; k < places.size(); ++k) {
      places[k] = static_cast<std::uint16_t>(last_butterfly(k));
    }
    return places;
  }();

  /// Last pass and unfolding: the butterflies of k and of its mirror 64 - k give four pairs of
  /// bins.
  PARLANTE_HD void last_pass(const LogMelTables& tables) {
    constexpr std::size_t kQuarter = kFftPoints / 4;
    Point a[4], b[4];
    for (std::size_t m = 0; m < 4; ++m) {
      a[m] = points[m];
    }
    butterfly4(a);
    store_pair(tables, a[1], a[3], kQuarter);
    store_pair(tables, a[2], a[2], 2 * kQuarter);
    for (std::size_t k = 1; k <= kQuarter / 2; ++k) {
      const std::size_t p = kButterflies[k], q = kButterflies[kQuarter - k];
      for (std::size_t m = 0; m < 4; ++m) {
        a[m] = points[p + m], b[m] = points[q + m];
      }
      butterfly4(a);
      butterfly4(b);
      for (std::size_t m = 0; m < 4; ++m) {
        store_pair(tables, a[m], b[3 - m], k + m * kQuarter);
      }
    }
  }

  PARLANTE_HD void filter(const LogMelTables& tables) {
    Floats rising_before{};
    for (std::size_t s = 0; s <= kMelBands; ++s) {
      Floats rising{}, falling{};
      for (std::size_t bin = tables.segments[s]; bin < tables.segments[s + 1]; ++bin) {
        rising += tables.rising[bin] * power[bin];
        falling += tables.falling[bin] * power[bin];
      }
      if (s > 0) {
        L::store(rising_before + falling, mel[s - 1]);
      }
      rising_before = rising;
    }
    float* flat = &mel[0][0];
    for (std::size_t i = 0; i < kMelBands * kLanes; ++i) {
      flat[i] = log_floored(flat[i]);
    }
  }

  PARLANTE_HD void run(const LogMelTables& tables, const float* samples, std::size_t columns,
                       float* out) {
    split_hops(samples, columns);
    first_pass(tables);
    middle_pass(tables, kFftPoints / 4);
    middle_pass(tables, kFftPoints / 16);
    last_pass(tables);
    filter(tables);
    for (std::size_t b = 0; b < kMelBands; b += kLanes) {
      Floats rows[kLanes];
      for (std::size_t i = 0; i < kLanes; ++i) {
        L::load(mel[b + i], rows[i]);
      }
      L::transpose(rows);
      for (std::size_t i = 0; i < columns; ++i) {
        L::store(rows[i], &out[i * kMelBands + b]);
      }
    }
  }
};

/// Scratch memory of a block on any instruction set.
struct alignas(64) Storage {
  std::byte bytes[sizeof(Block<kMaxLanes>)];
};

/// Computes up to kLanes columns.
template <std::size_t kLanes>
PARLANTE_LOOP void run_block_loop(Storage& storage, const LogMelTables& tables,
                                  const float* samples, std::size_t columns, float* out) {
  static_assert(sizeof(Block<kLanes>) <= sizeof(Storage) &&
                alignof(Block<kLanes>) <= alignof(Storage));
  (new (storage.bytes) Block<kLanes>)->run(tables, samples, columns, out);
}

#if PARLANTE_VECTOR_TYPES
constexpr PerIsa<run_block_loop<kLanesOf[0]>, run_block_loop<kLanesOf[1]>,
                 run_block_loop<kLanesOf[2]>>
    run_block;
#else
constexpr PerIsa<run_block_loop<kLanesOf[0]>> run_block;
#endif

}  // namespace

const LogMelTables& LogMelTables::get() {
  static const LogMelTables tables = make_tables();
  return tables;
}

struct LogMel::Workspace {
  std::size_t lanes;
  decltype(run_block)::Function run;
  float bridge[kFftSize + (kMaxLanes - 1) * kHopLength];  ///< a block that begins in the history
  Storage storage;
};

LogMel::LogMel() : workspace_(std::make_unique_for_overwrite<Workspace>()) {
  const Isa level = isa_level();
  workspace_->lanes = kLanesOf[static_cast<std::size_t>(level)];
  workspace_->run = run_block.at(level);
  reset();
}

LogMel::~LogMel() = default;
LogMel::LogMel(LogMel&&) noexcept = default;
LogMel& LogMel::operator=(LogMel&&) noexcept = default;

std::size_t LogMel::columns_after(std::size_t samples) const {
  return (history_size_ + samples - kMelHistory) / kHopLength;
}

void LogMel::process(std::span<const float> samples, std::span<float> columns) {
  const std::size_t total = columns_after(samples.size());
  if (columns.size() != total * kMelBands) {
    throw std::invalid_argument("columns: expected room for " + std::to_string(total) +
                                " columns, got " + std::to_string(columns.size()) + " values");
  }

  // The history and the new samples as one signal; positions count from the oldest sample.
  const auto copy = [&](std::size_t position, std::size_t count, float* out) {
    const std::size_t old =
        position < history_size_ ? std::min(count, history_size_ - position) : 0;
    std::copy_n(history_.begin() + static_cast<std::ptrdiff_t>(old ? position : 0), old, out);
    if (count > old) {
      std::copy_n(&samples[position + old - history_size_], count - old, out + old);
    }
  };

  const LogMelTables& tables = LogMelTables::get();
  Workspace& work = *workspace_;
  for (std::size_t done = 0; done < total; done += work.lanes) {
    const std::size_t count = std::min(work.lanes, total - done);
    const std::size_t position = done * kHopLength;
    const float* block = work.bridge;
    if (position < history_size_) {
      copy(position, kFftSize + (count - 1) * kHopLength, work.bridge);
    } else {
      block = &samples[position - history_size_];
    }
    work.run(work.storage, tables, block, count, &columns[done * kMelBands]);
  }

  std::array<float, kFftSize> rest;
  const std::size_t consumed = total * kHopLength;
  const std::size_t rest_size = history_size_ + samples.size() - consumed;
  copy(consumed, rest_size, rest.data());
  history_ = rest;
  history_size_ = rest_size;
}

void LogMel::reset() {
  history_.fill(0.0f);
  history_size_ = kMelHistory;
}

}  // namespace parlante
