// How a stream passes the Python border: as an integer, like torch.cuda.Stream.cuda_stream or
// cupy.cuda.Stream.ptr; 0 is the default stream. The arrays must be ready on that stream.
#pragma once

#include <cstdint>

#include "support/cuda/stream.h"

namespace parlante::bindings {

inline CudaStream to_stream(std::uintptr_t stream) { return reinterpret_cast<CudaStream>(stream); }

}  // namespace parlante::bindings
