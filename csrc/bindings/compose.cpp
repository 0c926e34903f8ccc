#include "ops/compose.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_compose(py::module_& module) {
  module.def(
      "compose",
      [](const HostArray& source, const HostArray& plate, const HostArray& warp,
         const HostArray& x0, const HostArray& condition, HostArray& out, const std::string& format,
         const py::object& background, std::pair<int, int> corner, int threads) {
        const auto arguments =
            check_compose(source, plate, warp, x0, condition, out, format, background, corner);
        require_threads(threads);
        const py::gil_scoped_release release;
        compose(arguments, threads);
      },
      py::arg("source"), py::arg("plate"), py::arg("warp"), py::arg("x0"), py::arg("condition"),
      py::arg("out"), py::kw_only(), py::arg("format") = "rgb", py::arg("background") = "plate",
      py::arg("corner") = std::pair(0, 0), py::arg("threads") = 1,
      "Composes the frame, of the size of `plate`, into `out`, 8-bit pixels. `corner`: x, y of its "
      "first pixel in `source`, which has its scale and may show more. Where neighbours of `warp` "
      "lie "
      "over 2 pixels of the grid apart, their colours are blended instead of their places.");
}
