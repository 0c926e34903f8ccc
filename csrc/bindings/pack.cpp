#include "ops/pack.h"

#include <pybind11/pybind11.h>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_pack(py::module_& module) {
  module.def(
      "pack",
      [](const HostArray& source, const HostArray& plate, const HostArray& warp,
         const HostArray& interior, const HostArray& features, HostArray& condition, int threads) {
        const auto arguments = check_pack(source, plate, warp, interior, features, condition);
        require_threads(threads);
        const py::gil_scoped_release release;
        pack(arguments, threads);
      },
      py::arg("source"), py::arg("plate"), py::arg("warp"), py::arg("interior"),
      py::arg("features"), py::arg("condition"), py::kw_only(), py::arg("threads") = 1,
      "Samples the source through the warp into `condition` f32[1, 128 + F, h, w].");
}
