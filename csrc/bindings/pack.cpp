#include "ops/pack.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_pack(py::module_& module) {
  module.def(
      "pack",
      [](const HostArray& source, const std::optional<HostArray>& reference, const HostArray& flow,
         HostArray& condition, const std::optional<HostArray>& inside,
         const std::optional<HostArray>& cover, int threads) {
        const auto arguments = check_pack(source, reference, flow, inside, cover, condition);
        require_threads(threads);
        const py::gil_scoped_release release;
        pack(arguments, threads);
      },
      py::arg("source"), py::arg("reference"), py::arg("flow"), py::arg("condition"), py::kw_only(),
      py::arg("inside") = py::none(), py::arg("cover") = py::none(), py::arg("threads") = 1,
      "Samples the source and the reference, which may be None, through the flow into `condition` "
      "f32[1, 144, h, w]; over the source's colours those of `inside` are laid, and all blurred as "
      "far "
      "as `cover` says.");
}
