#include "ops/resample.h"

#include <pybind11/pybind11.h>

#include <mutex>

#include "bindings/array.h"
#include "bindings/begun.h"
#include "contract.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

/// Two Python threads in one stream would be a mistake, but must not corrupt memory.
/// Named unlike its peers: built by Clang, pybind11 takes types of one name in the anonymous
/// namespaces of two files for one type.
class ResampleStream {
 public:
  ResampleStream(std::uint32_t in_rate, std::uint32_t out_rate) : resampler_(in_rate, out_rate) {}

  py::array_t<float> process(const HostArray& x) {
    const std::span<const float> samples = input_signal(x, "x");
    const std::size_t count = resampler_.outputs_after(samples.size());
    py::array_t<float> out(static_cast<py::ssize_t>(count));
    const std::span<float> values(out.mutable_data(), count);
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    resampler_.process(samples, values);
    return out;
  }

  py::array_t<float> flush() {
    const std::size_t count = resampler_.outputs_left();
    py::array_t<float> out(static_cast<py::ssize_t>(count));
    const std::span<float> values(out.mutable_data(), count);
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    resampler_.flush(values);
    return out;
  }

  void reset() {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    resampler_.reset();
  }

 private:
  Resampler resampler_;
  std::mutex mutex_;
};

}  // namespace

template <>
struct pybind11::detail::type_caster<ResampleStream> : BegunCaster<ResampleStream> {};

void bind_resample(py::module_& module) {
  py::class_<ResampleStream>(
      module, "Resampler",
      "Streaming sample-rate conversion of f32 signals, without delay. Rates from "
      "4000 to 768000 Hz. One object per stream.")
      .def(py::init<std::uint32_t, std::uint32_t>(), py::arg("in_rate"),
           py::arg("out_rate") = kSampleRate)
      .def("process", &ResampleStream::process, py::arg("x"),
           "Takes finite samples f32[n]; returns the output f32[m] that they decide.")
      .def("flush", &ResampleStream::flush,
           "Ends the stream; returns the rest f32[m], so that n samples in have become "
           "ceil(n * out_rate / in_rate) out. The next sample begins a new stream.")
      .def("reset", &ResampleStream::reset, "Drops the stream; the next sample begins a new one.");
}
