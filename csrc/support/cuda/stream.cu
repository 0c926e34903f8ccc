#include "support/cuda/stream.h"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace parlante {
namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string("CUDA stream: ") + cudaGetErrorString(error));
  }
}

}  // namespace

OwnedStream::OwnedStream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

OwnedStream::~OwnedStream() { cudaStreamDestroy(stream_); }

void OwnedStream::synchronize() const { check(cudaStreamSynchronize(stream_)); }

}  // namespace parlante
