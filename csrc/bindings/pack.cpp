#include "pack.h"

#include <pybind11/pybind11.h>

#include "view.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

void pack_arrays(const py::array& source, const py::array& plate, const py::array& warp,
                 const py::array& interior, const py::array& features, py::array& condition,
                 int threads) {
  const auto warp_view = input_image<float>(warp, "warp", kAny, kAny, 3);
  const int rows = warp_view.rows;
  const int columns = warp_view.columns;
  if (rows % kUnshuffle != 0 || columns % kUnshuffle != 0) {
    throw py::value_error("warp: expected rows and columns in multiples of 4, got shape " +
                          describe_shape(warp));
  }
  const auto source_view = input_image<std::uint8_t>(source, "source", kAny, kAny, 4);
  require_pixels(source, "source");
  const auto plate_view = input_image<std::uint8_t>(plate, "plate", rows, columns, 3);
  const auto interior_view = input_image<float>(interior, "interior", rows, columns, 3);
  const PlanesView<const float> feature_view{input<float>(features, "features", {kAny, kAny, kAny}),
                                             length(features, 0), length(features, 1),
                                             length(features, 2)};
  require_int_sized(features, "features");
  if (feature_view.planes > 0) {
    require_pixels(features, "features");
  }
  const auto condition_view =
      output_planes(condition, "condition", kPackedPlanes + feature_view.planes, rows / kUnshuffle,
                    columns / kUnshuffle);
  require_threads(threads);
  const py::gil_scoped_release release;
  pack(source_view, plate_view, warp_view, interior_view, feature_view, condition_view, threads);
}

}  // namespace

void bind_pack(py::module_& module) {
  module.def("pack", &pack_arrays, py::arg("source"), py::arg("plate"), py::arg("warp"),
             py::arg("interior"), py::arg("features"), py::arg("condition"), py::kw_only(),
             py::arg("threads") = 1,
             "Samples the source through the warp into `condition` f32[1, 128 + F, h, w].");
}
