// Launch arithmetic and error checks of the CUDA twins.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace parlante {

inline unsigned blocks_for(int count, int per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

/// Throws if the launch just made was refused. Errors of the kernel itself surface at the caller's
/// next synchronisation: nothing here waits, so that the ops can be captured in a graph.
inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(op) +
                             ": CUDA launch failed: " + cudaGetErrorString(error));
  }
}

}  // namespace parlante
