#include "log_mel.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>

namespace parlante {
namespace {

// Neighbouring columns are computed side by side, one per vector lane, so that every step is the
// same arithmetic on adjacent memory and a column's bits depend neither on its neighbours nor on
// their number. A block is as many columns as the widest vector has doubles.
constexpr std::size_t kMaxLanes = 8;

/// Hops of kHopLength samples that a column reaches into, and the samples of the last of them.
constexpr std::size_t kHops = (kFftSize + kHopLength - 1) / kHopLength;
constexpr std::size_t kLastHop = kFftSize - (kHops - 1) * kHopLength;

constexpr double kSampleRate = 16000.0;
constexpr double kMelLow = 20.0;
constexpr double kMelHigh = 7600.0;

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

  const double mel_low = hz_to_mel(kMelLow);
  const double mel_step = (hz_to_mel(kMelHigh) - mel_low) / (kMelBands + 1);
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

template <std::size_t kLanes>
struct Vectors;

template <>
struct Vectors<2> {
  using Doubles [[gnu::vector_size(16)]] = double;
  using Floats [[gnu::vector_size(8)]] = float;
};

template <>
struct Vectors<4> {
  using Doubles [[gnu::vector_size(32)]] = double;
  using Floats [[gnu::vector_size(16)]] = float;
};

template <>
struct Vectors<8> {
  using Doubles [[gnu::vector_size(64)]] = double;
  using Floats [[gnu::vector_size(32)]] = float;
};

/// One block of kLanes columns. Vector types instead of loops over lanes, as compilers left to
/// themselves pick other loops to vectorise; functions are inlined by force into the entry point of
/// an instruction set.
template <std::size_t kLanes>
struct Block {
  using Doubles = typename Vectors<kLanes>::Doubles;
  using Floats = typename Vectors<kLanes>::Floats;
  using Point = Complex<Doubles>;
  using Indices = std::make_index_sequence<kLanes>;

  // A row holds kLanes + 3 samples; the pitch keeps every vector of them within a cache line.
  static constexpr std::size_t kPitch = 2 * kLanes > kLanes + kHops ? 2 * kLanes : kLanes + kHops;

  float hops[kHopLength][kPitch];  ///< hops[r][c] = sample 160 c + r
  Point points[kFftPoints];
  Floats power[kPowerBins];
  float mel[kMelBands][kLanes];

  PARLANTE_HD static void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }
  PARLANTE_HD static void store(const Floats& from, float* to) {
    std::memcpy(to, &from, sizeof from);
  }

  // __builtin_convertvector would do, but GCC 12 converts by halves.
  template <std::size_t... kLane>
  PARLANTE_HD static void widen(const float* from, Doubles& to, std::index_sequence<kLane...>) {
    to = Doubles{from[kLane]...};
  }
  template <std::size_t... kLane>
  PARLANTE_HD static void narrow(const Doubles& from, Floats& to, std::index_sequence<kLane...>) {
    to = Floats{static_cast<float>(from[kLane])...};
  }

  template <std::size_t kStep, std::size_t... kLane>
  PARLANTE_HD static void exchange(Floats& a, Floats& b, std::index_sequence<kLane...>) {
    const Floats first = __builtin_shufflevector(
        a, b, static_cast<int>(kLane & kStep ? kLanes + kLane - kStep : kLane)...);
    b = __builtin_shufflevector(
        a, b, static_cast<int>(kLane & kStep ? kLanes + kLane : kLane + kStep)...);
    a = first;
  }

  /// Transposes a square of values: exchanges its off-diagonal quarters, then those of each
  /// quarter.
  template <std::size_t kStep = kLanes / 2>
  PARLANTE_HD static void transpose(Floats (&rows)[kLanes]) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (i & kStep) {
        continue;
      }
      exchange<kStep>(rows[i], rows[i + kStep], Indices());
    }
    if constexpr (kStep > 1) {
      transpose<kStep / 2>(rows);
    }
  }

  /// Lays the samples out by hop, so that one sample of all columns is adjacent.
  PARLANTE_HD void split_hops(const float* samples, std::size_t columns) {
    std::size_t c = 0;
    if (columns == kLanes) {
      for (std::size_t r = 0; r < kHopLength; r += kLanes) {
        Floats rows[kLanes];
        for (std::size_t i = 0; i < kLanes; ++i) {
          load(&samples[i * kHopLength + r], rows[i]);
        }
        transpose(rows);
        for (std::size_t i = 0; i < kLanes; ++i) {
          store(rows[i], hops[r + i]);
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
    widen(&hops[0][0] + kPlaces[sample], out, Indices());
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
    narrow(power_k, power[k], Indices());
    narrow(power_mirror, power[kFftPoints - k], Indices());
  }

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
      const std::size_t p = last_butterfly(k), q = last_butterfly(kQuarter - k);
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
        store(rising_before + falling, mel[s - 1]);
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
        load(mel[b + i], rows[i]);
      }
      transpose(rows);
      for (std::size_t i = 0; i < columns; ++i) {
        store(rows[i], &out[i * kMelBands + b]);
      }
    }
  }
};

/// Scratch memory of a block on any instruction set.
struct alignas(64) Storage {
  std::byte bytes[sizeof(Block<kMaxLanes>)];
};

template <std::size_t kLanes>
PARLANTE_HD void run_block(Storage& storage, const LogMelTables& tables, const float* samples,
                           std::size_t columns, float* out) {
  static_assert(sizeof(Block<kLanes>) <= sizeof(Storage) &&
                alignof(Block<kLanes>) <= alignof(Storage));
  (new (storage.bytes) Block<kLanes>)->run(tables, samples, columns, out);
}

/// Computes up to as many columns as it has lanes.
using BlockFunction = void (*)(Storage& storage, const LogMelTables& tables, const float* samples,
                               std::size_t columns, float* out);

void run_2(Storage& storage, const LogMelTables& tables, const float* samples, std::size_t columns,
           float* out) {
  run_block<2>(storage, tables, samples, columns, out);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
[[gnu::target("arch=x86-64-v3")]] void run_4(Storage& storage, const LogMelTables& tables,
                                             const float* samples, std::size_t columns,
                                             float* out) {
  run_block<4>(storage, tables, samples, columns, out);
}

[[gnu::target("arch=x86-64-v4")]] void run_8(Storage& storage, const LogMelTables& tables,
                                             const float* samples, std::size_t columns,
                                             float* out) {
  run_block<8>(storage, tables, samples, columns, out);
}

bool offers(std::size_t lanes) {
  return lanes == 2 || (lanes == 4 && __builtin_cpu_supports("x86-64-v3")) ||
         (lanes == 8 && __builtin_cpu_supports("x86-64-v4"));
}

BlockFunction block_function(std::size_t lanes) {
  return lanes == 8 ? run_8 : lanes == 4 ? run_4 : run_2;
}
#else
bool offers(std::size_t lanes) { return lanes == 2; }

BlockFunction block_function(std::size_t) { return run_2; }
#endif

}  // namespace

const LogMelTables& LogMelTables::get() {
  static const LogMelTables tables = make_tables();
  return tables;
}

struct LogMel::Workspace {
  std::size_t lanes;
  BlockFunction run;
  float bridge[kFftSize + (kMaxLanes - 1) * kHopLength];  ///< a block that begins in the history
  Storage storage;
};

LogMel::LogMel(std::size_t lanes) : workspace_(std::make_unique_for_overwrite<Workspace>()) {
  if (lanes == 0) {
    for (lanes = kMaxLanes; !offers(lanes);) {
      lanes /= 2;
    }
  } else if (!offers(lanes)) {
    throw std::invalid_argument("lanes: expected 0, 2, 4 or 8, and what this CPU offers, got " +
                                std::to_string(lanes));
  }
  workspace_->lanes = lanes;
  workspace_->run = block_function(lanes);
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
