#include "ops/rasterize.h"

#include <pybind11/pybind11.h>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_rasterize(py::module_& module) {
  module.def(
      "rasterize",
      [](const py::object& vertices, const py::object& triangles, const py::object& attributes,
         const py::object& out, const py::object& depth, std::uintptr_t stream) {
        DeviceArray out_array(out, "out");
        DeviceArray depth_array(depth, "depth");
        const auto arguments =
            check_rasterize(DeviceArray(vertices, "vertices"), DeviceArray(triangles, "triangles"),
                            DeviceArray(attributes, "attributes"), out_array, depth_array);
        const py::gil_scoped_release release;
        rasterize_cuda(arguments, to_stream(stream));
      },
      py::arg("vertices"), py::arg("triangles"), py::arg("attributes"), py::arg("out"),
      py::arg("depth"), py::kw_only(), py::arg("stream"),
      "Draws triangles into `out` f32[H, W, A]; the smallest z wins.");
}
