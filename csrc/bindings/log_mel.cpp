#include "ops/log_mel.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <optional>

#include "bindings/array.h"
#include "bindings/begun.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

/// Two Python threads in one stream would be a mistake, but must not corrupt memory.
/// Named unlike its peers: built by Clang, pybind11 takes types of one name in the anonymous
/// namespaces of two files for one type.
class LogMelStream {
 public:
  py::array process(const HostArray& x, std::optional<HostArray> out) {
    const std::span<const float> samples = input_signal(x, "x");
    const std::size_t columns = log_mel_.columns_after(samples.size());
    if (!out) {
      out.emplace(py::array_t<float>({columns, kMelBands}));
    }
    float* const data = output<float>(*out, "out", {static_cast<py::ssize_t>(columns), kMelBands});
    const std::span<float> values(data, columns * kMelBands);
    {
      const py::gil_scoped_release release;
      const std::lock_guard lock(mutex_);
      log_mel_.process(samples, values);
    }
    return *out;
  }

  void reset() {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    log_mel_.reset();
  }

 private:
  LogMel log_mel_;
  std::mutex mutex_;
};

py::array log_mel_of_signal(const HostArray& x, std::optional<HostArray> out) {
  return LogMelStream().process(x, std::move(out));
}

}  // namespace

template <>
struct pybind11::detail::type_caster<LogMelStream> : BegunCaster<LogMelStream> {};

void bind_log_mel(py::module_& module) {
  py::class_<LogMelStream>(module, "LogMel",
                           "Streaming log-mel extractor of 16 kHz mono: a column f32[80] every 160 "
                           "samples. One object per stream.")
      .def(py::init<>())
      .def(
          "process", &LogMelStream::process, py::arg("x"), py::arg("out") = py::none(),
          "Takes samples f32[n], finite, in [-1, 1]; returns the columns f32[k, 80] that became "
          "ready, in `out` where there is one. Column j covers samples [160 j - 352, 160 j + 160).")
      .def("reset", &LogMelStream::reset, "Forgets the samples: the next one begins a stream.");
  module.def(
      "log_mel", &log_mel_of_signal, py::arg("x"), py::arg("out") = py::none(),
      "Log-mel columns f32[n // 160, 80] of a whole signal f32[n], the bits of LogMel; in `out` "
      "where there is one.");
}
