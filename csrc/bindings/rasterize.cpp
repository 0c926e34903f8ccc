#include "rasterize.h"

#include <pybind11/pybind11.h>

#include "visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_rasterize(py::module_& module) {
  module.def(
      "rasterize",
      [](const HostArray& vertices, const HostArray& triangles, const HostArray& attributes,
         HostArray& out, HostArray& depth, int threads) {
        const auto a = check_rasterize(vertices, triangles, attributes, out, depth);
        require_threads(threads);
        const py::gil_scoped_release release;
        rasterize(a.vertices, a.triangles, a.attributes, a.out, a.depth, threads);
      },
      py::arg("vertices"), py::arg("triangles"), py::arg("attributes"), py::arg("out"),
      py::arg("depth"), py::kw_only(), py::arg("threads") = 1,
      "Draws triangles into `out` f32[H, W, A]; the smallest z wins.");
}
