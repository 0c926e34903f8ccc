// CUDA twin of log_mel.cpp: 64 threads a column, one thread a butterfly, the column in shared
// memory.
#include <type_traits>

#include "ops/log_mel.h"
#include "support/cuda/launch.cuh"

namespace parlante {
namespace {

constexpr int kQuarter = kFftPoints / 4;
constexpr int kThreads = kQuarter;

// Columns a block.
constexpr int kColumns = 4;

using Point = Complex<double>;

/// Sample i under a column, windowed; zeros before the signal.
__device__ double windowed(const LogMelTables& tables, const float* samples, std::ptrdiff_t first,
                           int i) {
  const std::ptrdiff_t position = first + i;
  return position < 0 ? 0.0 : static_cast<double>(samples[position]) * tables.window[i];
}

/// Butterfly, twiddles and write-back of thread j of a sub-transform of 4 * quarter points.
__device__ void finish_pass(const LogMelTables& tables, Point (&a)[4], Point* points, int j,
                            int quarter) {
  const int stride = kFftSize / (4 * quarter);
  butterfly4(a);
  points[j] = a[0];
  for (int m = 1; m < 4; ++m) {
    multiply(a[m], tables.roots[stride * m * j], points[j + m * quarter]);
  }
}

__device__ void middle_pass(const LogMelTables& tables, Point* points, int thread, int quarter) {
  Point* part = points + thread / quarter * quarter * 4;
  const int j = thread % quarter;
  Point a[4];
  for (int m = 0; m < 4; ++m) {
    a[m] = part[j + m * quarter];
  }
  finish_pass(tables, a, part, j, quarter);
}

__device__ void store_pair(const LogMelTables& tables, const Point& at_k, const Point& at_mirror,
                           int k, float* power) {
  double power_k, power_mirror;
  power_pair(at_k, at_mirror, tables.roots[k], power_k, power_mirror);
  power[k] = static_cast<float>(power_k);
  power[kFftPoints - k] = static_cast<float>(power_mirror);
}

/// The last butterflies of k and of its mirror, and the bins that come out of both.
__device__ void last_pass(const LogMelTables& tables, const Point* points, int k, float* power) {
  Point a[4], b[4];
  const Point* at_k = points + last_butterfly(static_cast<std::size_t>(k));
  const Point* at_mirror = points + last_butterfly(static_cast<std::size_t>(kQuarter - k));
  for (int m = 0; m < 4; ++m) {
    a[m] = at_k[m];
    b[m] = at_mirror[m];
  }
  butterfly4(a);
  butterfly4(b);
  for (int m = 0; m < 4; ++m) {
    store_pair(tables, a[m], b[3 - m], k + m * kQuarter, power);
  }
}

/// The bins of the butterfly that mirrors itself, k = 0.
__device__ void last_pass_of_zero(const LogMelTables& tables, const Point* points, float* power) {
  Point a[4];
  for (int m = 0; m < 4; ++m) {
    a[m] = points[m];
  }
  butterfly4(a);
  store_pair(tables, a[1], a[3], kQuarter, power);
  store_pair(tables, a[2], a[2], 2 * kQuarter, power);
}

__device__ float weigh(const LogMelTables& tables, const float* weights, int segment,
                       const float* power) {
  float sum = 0.0f;
  for (int bin = tables.segments[segment]; bin < tables.segments[segment + 1]; ++bin) {
    sum += weights[bin] * power[bin];
  }
  return sum;
}

__global__ void __launch_bounds__(kThreads* kColumns)
    log_mel_kernel(const LogMelTables* __restrict__ device_tables,
                   const float* __restrict__ samples, std::ptrdiff_t column_count,
                   float* __restrict__ columns) {
  __shared__ Point block_points[kColumns][kFftPoints];
  __shared__ float block_power[kColumns][kPowerBins];
  const LogMelTables& tables = *device_tables;
  const int thread = static_cast<int>(threadIdx.x);
  Point* points = block_points[threadIdx.y];
  float* power = block_power[threadIdx.y];

  // Spare threads of the last block repeat the last column, so that all reach the barriers.
  const std::ptrdiff_t wanted =
      static_cast<std::ptrdiff_t>(blockIdx.x) * kColumns + static_cast<int>(threadIdx.y);
  const std::ptrdiff_t column = wanted < column_count ? wanted : column_count - 1;
  const std::ptrdiff_t first =
      column * static_cast<std::ptrdiff_t>(kHopLength) - static_cast<std::ptrdiff_t>(kMelHistory);

  Point a[4];
  for (int m = 0; m < 4; ++m) {
    const int i = 2 * (thread + m * kQuarter);
    a[m] = {windowed(tables, samples, first, i), windowed(tables, samples, first, i + 1)};
  }
  finish_pass(tables, a, points, thread, kQuarter);
  __syncthreads();
  middle_pass(tables, points, thread, kQuarter / 4);
  __syncthreads();
  middle_pass(tables, points, thread, kQuarter / 16);
  __syncthreads();
  if (thread == 0) {
    last_pass_of_zero(tables, points, power);
  } else if (thread <= kQuarter / 2) {
    last_pass(tables, points, thread, power);
  }
  __syncthreads();
  for (int b = thread; b < static_cast<int>(kMelBands); b += kThreads) {
    const float sum =
        weigh(tables, tables.rising, b, power) + weigh(tables, tables.falling, b + 1, power);
    columns[column * static_cast<std::ptrdiff_t>(kMelBands) + b] = log_floored(sum);
  }
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string("log_mel: ") + what + ": " + cudaGetErrorString(error));
  }
}

}  // namespace

LogMelCuda::LogMelCuda() {
  static_assert(std::is_trivially_copyable_v<LogMelTables>);
  LogMelTables* tables = nullptr;
  check(cudaMalloc(&tables, sizeof(LogMelTables)), "no device memory for the tables");
  tables_.reset(tables);
  check(cudaMemcpy(tables, &LogMelTables::get(), sizeof(LogMelTables), cudaMemcpyHostToDevice),
        "upload of the tables failed");
}

void LogMelCuda::run(const float* samples, std::size_t count, float* columns,
                     CudaStream stream) const {
  const std::size_t column_count = count / kHopLength;
  if (column_count == 0) {
    return;
  }
  const dim3 grid(static_cast<unsigned>((column_count + kColumns - 1) / kColumns));
  log_mel_kernel<<<grid, dim3(kThreads, kColumns), 0, stream>>>(
      tables_.get(), samples, static_cast<std::ptrdiff_t>(column_count), columns);
  check_launch("log_mel");
}

void LogMelCuda::Free::operator()(LogMelTables* tables) const { cudaFree(tables); }

}  // namespace parlante
