#include "ops/compose.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_compose(py::module_& module) {
  using Optional = std::optional<HostArray>;
  module.def(
      "compose",
      [](const HostArray& source, const HostArray& plate, const HostArray& warp, const Optional& x0,
         const Optional& condition, const Optional& cover, const HostArray& places,
         const HostArray& bands, HostArray& out, const std::string& format,
         const py::object& background, std::pair<int, int> corner, int threads) {
        const auto arguments = check_compose(source, plate, warp, x0, condition, cover, places,
                                             bands, out, format, background, corner);
        require_threads(threads);
        const py::gil_scoped_release release;
        compose(arguments, threads);
      },
      py::arg("source"), py::arg("plate"), py::arg("warp"), py::arg("x0"), py::arg("condition"),
      py::arg("cover"), py::arg("places"), py::arg("bands"), py::arg("out"), py::kw_only(),
      py::arg("format") = "rgb", py::arg("background") = "plate",
      py::arg("corner") = std::pair(0, 0), py::arg("threads") = 1,
      "Composes the frame, of the size of `plate`, into `out`, 8-bit pixels. `corner`: x, y of its "
      "first pixel in `source`, which has its scale and may show more. Where neighbours of `warp` "
      "lie over 2 pixels of the grid apart, their colours are blended instead of their places. "
      "Where the patches lie, `places` and `bands` of the atlas, x0 - condition is added, or as "
      "far as `cover` says x0 shown itself.");
}
