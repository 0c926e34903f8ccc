#include "rasterize.h"

#include <pybind11/pybind11.h>

#include "view.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

void rasterize_arrays(const py::array& vertices, const py::array& triangles,
                      const py::array& attributes, py::array& out, py::array& depth, int threads) {
  const auto vertex_view = input_table<float>(vertices, "vertices", kAny, 3);
  const auto triangle_view = input_table<std::int32_t>(triangles, "triangles", kAny, 3);
  const auto attribute_view = input_table<float>(attributes, "attributes", vertex_view.rows, kAny);
  const auto out_view = output_image<float>(out, "out", kAny, kAny, attribute_view.columns);
  const ImageView<float> depth_view{
      output<float>(depth, "depth", {out_view.rows, out_view.columns}), out_view.rows,
      out_view.columns, 1};
  require_threads(threads);
  const py::gil_scoped_release release;
  rasterize(vertex_view, triangle_view, attribute_view, out_view, depth_view, threads);
}

}  // namespace

void bind_rasterize(py::module_& module) {
  module.def("rasterize", &rasterize_arrays, py::arg("vertices"), py::arg("triangles"),
             py::arg("attributes"), py::arg("out"), py::arg("depth"), py::kw_only(),
             py::arg("threads") = 1,
             "Draws triangles into `out` f32[H, W, A], nearest (smallest z) first.");
}
