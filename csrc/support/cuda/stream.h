// Streams of the CUDA twins, named without CUDA's headers.
#pragma once

struct CUstream_st;

namespace parlante {

/// cudaStream_t; null is the default stream.
using CudaStream = CUstream_st*;

/// A stream of the device that is current when it is made. It does not wait for the default stream,
/// nor that for it. Destroyed with the object; what is queued then is still done.
class OwnedStream {
 public:
  /// Throws std::runtime_error: no device, no driver, or none that knows this CUDA.
  OwnedStream();
  ~OwnedStream();
  OwnedStream(const OwnedStream&) = delete;
  OwnedStream& operator=(const OwnedStream&) = delete;

  CudaStream get() const { return stream_; }

  /// Waits for all that is queued. Throws std::runtime_error if any of it failed.
  void synchronize() const;

 private:
  CudaStream stream_ = nullptr;
};

}  // namespace parlante
