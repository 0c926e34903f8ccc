#include "ops/rasterize.h"

#include <pybind11/pybind11.h>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_rasterize(py::module_& module) {
  module.def(
      "rasterize",
      [](const HostArray& vertices, const HostArray& triangles, const HostArray& attributes,
         HostArray& out, HostArray& depth, int threads) {
        const auto arguments = check_rasterize(vertices, triangles, attributes, out, depth);
        require_threads(threads);
        const py::gil_scoped_release release;
        rasterize(arguments, threads);
      },
      py::arg("vertices"), py::arg("triangles"), py::arg("attributes"), py::arg("out"),
      py::arg("depth"), py::kw_only(), py::arg("threads") = 1,
      "Draws triangles into `out` f32[H, W, A]; the smallest z wins.");
}
