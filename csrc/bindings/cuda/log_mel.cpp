#include "ops/log_mel.h"

#include <pybind11/pybind11.h>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_log_mel(py::module_& module) {
  // Local: tests load the module once more, emulated.
  py::class_<LogMelCuda>(module, "LogMel", py::module_local(),
                         "Log-mel columns of whole signals, the bits of the CPU's; bound to the "
                         "device that is current when it is made.")
      .def(py::init<>())
      .def(
          "__call__",
          [](const LogMelCuda& log_mel, const py::object& x, const py::object& out,
             std::uintptr_t stream) {
            const DeviceArray x_array(x, "x");
            DeviceArray out_array(out, "out");
            const float* samples = input<float>(x_array, "x", {kAny});
            const auto count = static_cast<std::size_t>(x_array.size());
            float* columns = output<float>(out_array, "out",
                                           {static_cast<py::ssize_t>(count / kHopLength),
                                            static_cast<py::ssize_t>(kMelBands)});
            const py::gil_scoped_release release;
            log_mel.run(samples, count, columns, to_stream(stream));
          },
          py::arg("x"), py::arg("out"), py::kw_only(), py::arg("stream"),
          "Queues the columns of a finite signal f32[n] into `out` f32[n // 160, 80].");
}
