#include "ops/compose.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_compose(py::module_& module) {
  module.def(
      "compose",
      [](const py::object& source, const py::object& plate, const py::object& warp,
         const py::object& x0, const py::object& condition, const py::object& cover,
         const py::object& places, const py::object& bands, const py::object& out,
         const std::string& format, const py::object& background, std::pair<int, int> corner,
         std::uintptr_t stream) {
        DeviceArray out_array(out, "out");
        const auto arguments = check_compose(
            DeviceArray(source, "source"), DeviceArray(plate, "plate"), DeviceArray(warp, "warp"),
            optional_array(x0, "x0"), optional_array(condition, "condition"),
            optional_array(cover, "cover"), DeviceArray(places, "places"),
            DeviceArray(bands, "bands"), out_array, format, background, corner);
        const py::gil_scoped_release release;
        compose_cuda(arguments, to_stream(stream));
      },
      py::arg("source"), py::arg("plate"), py::arg("warp"), py::arg("x0"), py::arg("condition"),
      py::arg("cover"), py::arg("places"), py::arg("bands"), py::arg("out"), py::kw_only(),
      py::arg("format") = "rgb", py::arg("background") = "plate",
      py::arg("corner") = std::pair(0, 0), py::arg("stream"),
      "Composes the frame, of the size of `plate`, into `out`, 8-bit pixels. `corner`: x, y of its "
      "first pixel in `source`, which has its scale and may show more. Where neighbours of `warp` "
      "lie over 2 pixels of the grid apart, their colours are blended instead of their places. "
      "Where the patches lie, `places` and `bands` of the atlas, x0 - condition is added, or as "
      "far as `cover` says x0 shown itself.");
}
