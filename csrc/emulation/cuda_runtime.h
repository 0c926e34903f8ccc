// Plays CUDA's part on a CPU, so that the kernels run where there is no GPU: in tests, bit by bit
// beside the CPU's ops, and under sanitizers. Not fast, and never part of a wheel.
//
// A block's threads are fibers of one thread of the system. Between two barriers they run one
// after another, in an order drawn anew each time, and so do the blocks: what forgot a barrier, or
// leans on an order, gives other results. Shared memory begins with what the last block left in it.
// There is one device: launches of several threads wait for each other.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct float2 {
  float x, y;
};

struct float4 {
  float x, y, z, w;
};

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  std::size_t count() const { return std::size_t{x} * y * z; }
};

inline uint3 threadIdx, blockIdx;

using std::max;
using std::min;

enum cudaError_t {
  cudaSuccess,
  cudaErrorMemoryAllocation,
  cudaErrorInvalidConfiguration,
  cudaErrorInvalidResourceHandle
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice };
enum { cudaStreamNonBlocking = 1 };

struct CUstream_st;
using cudaStream_t = CUstream_st*;

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    default:
      return "no memory";
  }
}

template <typename T>
cudaError_t cudaMalloc(T** pointer, std::size_t bytes) {
  *pointer = static_cast<T*>(std::malloc(bytes));
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

inline void cudaFree(void* pointer) { std::free(pointer); }

template <typename T>
T __ldg(const T* at) {
  return *at;
}

namespace cuda_emulation {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kMaxBlock = 1024;
constexpr unsigned kMaxBlocksAcross = 65535;  // along y and z

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  uint3 index;
  bool done = true;
};

/// The block that runs.
struct Block {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  Fiber* running = nullptr;
  const std::function<void()>* body = nullptr;
  std::mt19937 order{20261127};
};

inline Block block;
inline std::mutex device;
inline thread_local cudaError_t last_error = cudaSuccess;

/// The streams that are there, as numbers that no later one gets. What is queued is done at once.
struct Streams {
  std::mutex mutex;
  std::uintptr_t made = 0;
  std::set<std::uintptr_t> live;

  bool has(const void* stream) {
    const std::lock_guard lock(mutex);
    return stream == nullptr || live.contains(reinterpret_cast<std::uintptr_t>(stream));
  }
};

inline Streams streams;

inline void begin() {
  (*block.body)();
  block.running->done = true;
  swapcontext(&block.running->context, &block.scheduler);
}

/// Not inlined: getcontext may return twice, and GCC warns of what is around it.
[[gnu::noinline]] inline void prepare(Fiber& fiber, uint3 index) {
  fiber.index = index;
  fiber.done = false;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  makecontext(&fiber.context, begin, 0);
}

inline void run_block(dim3 size) {
  while (block.fibers.size() < size.count()) {
    block.fibers.emplace_back();
  }
  std::vector<Fiber*> live;
  for (std::size_t i = 0; i < size.count(); ++i) {
    Fiber& fiber = block.fibers[i];
    const auto n = static_cast<unsigned>(i);
    prepare(fiber, {n % size.x, n / size.x % size.y, n / size.x / size.y});
    live.push_back(&fiber);
  }
  while (!live.empty()) {
    std::shuffle(live.begin(), live.end(), block.order);
    for (Fiber* fiber : live) {
      block.running = fiber;
      threadIdx = fiber->index;
      swapcontext(&block.scheduler, &fiber->context);
    }
    std::erase_if(live, [](const Fiber* fiber) { return fiber->done; });
  }
}

/// kernel<<<grid, size, shared, stream>>>(arguments…), written as launch(kernel, grid,
/// …)(arguments…).
template <typename... Parameters>
auto launch(void (*kernel)(Parameters...), dim3 grid, dim3 size, std::size_t, const void* stream) {
  return [=](Parameters... arguments) {
    if (!streams.has(stream)) {
      last_error = cudaErrorInvalidResourceHandle;
      return;
    }
    if (grid.count() == 0 || size.count() == 0 || size.count() > kMaxBlock ||
        grid.y > kMaxBlocksAcross || grid.z > kMaxBlocksAcross) {
      last_error = cudaErrorInvalidConfiguration;
      return;
    }
    const std::lock_guard lock(device);
    const std::function<void()> body = [&] { kernel(arguments...); };
    block.body = &body;
    std::vector<std::size_t> blocks(grid.count());
    std::iota(blocks.begin(), blocks.end(), std::size_t{0});
    std::shuffle(blocks.begin(), blocks.end(), block.order);
    for (const std::size_t i : blocks) {
      blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                  static_cast<unsigned>(i / grid.x / grid.y)};
      run_block(size);
    }
  };
}

}  // namespace cuda_emulation

inline void __syncthreads() {
  using cuda_emulation::block;
  swapcontext(&block.running->context, &block.scheduler);
}

inline int atomicAdd(int* at, int value) { return std::exchange(*at, *at + value); }

inline cudaError_t cudaGetLastError() {
  return std::exchange(cuda_emulation::last_error, cudaSuccess);
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  auto& streams = cuda_emulation::streams;
  const std::lock_guard lock(streams.mutex);
  streams.live.insert(++streams.made);
  *stream = reinterpret_cast<cudaStream_t>(streams.made);
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return cuda_emulation::streams.has(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  auto& streams = cuda_emulation::streams;
  const std::lock_guard lock(streams.mutex);
  const bool was = streams.live.erase(reinterpret_cast<std::uintptr_t>(stream)) == 1;
  return was ? cudaSuccess : cudaErrorInvalidResourceHandle;
}
