// The stream type of the CUDA twins, named without CUDA's headers.
#pragma once

struct CUstream_st;

namespace parlante {

/// cudaStream_t; null is the default stream.
using CudaStream = CUstream_st*;

}  // namespace parlante
