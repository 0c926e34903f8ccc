#include "bindings/cuda/stream.h"

#include <pybind11/pybind11.h>

namespace py = pybind11;
using namespace parlante;

void bind_stream(py::module_& module) {
  // Local: tests load the module once more, emulated.
  py::class_<OwnedStream>(module, "Stream", py::module_local(),
                          "A stream of the device that is current when it is made; it does not "
                          "wait for the default stream. Destroyed with the object.")
      .def(py::init<>())
      .def(
          "handle",
          [](const OwnedStream& stream) { return reinterpret_cast<std::uintptr_t>(stream.get()); },
          "The cudaStream_t, as the ops and ONNX Runtime take it; never 0.")
      .def("synchronize", &OwnedStream::synchronize, py::call_guard<py::gil_scoped_release>(),
           "Waits for all that is queued; RuntimeError if any of it failed.");
}
