#include "ops/pack.h"

#include <pybind11/pybind11.h>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_pack(py::module_& module) {
  module.def(
      "pack",
      [](const py::object& source, const py::object& reference, const py::object& flow,
         const py::object& condition, const py::object& inside, const py::object& cover,
         std::uintptr_t stream) {
        DeviceArray condition_array(condition, "condition");
        const auto arguments =
            check_pack(DeviceArray(source, "source"), optional_array(reference, "reference"),
                       DeviceArray(flow, "flow"), optional_array(inside, "inside"),
                       optional_array(cover, "cover"), condition_array);
        const py::gil_scoped_release release;
        pack_cuda(arguments, to_stream(stream));
      },
      py::arg("source"), py::arg("reference"), py::arg("flow"), py::arg("condition"), py::kw_only(),
      py::arg("inside") = py::none(), py::arg("cover") = py::none(), py::arg("stream"),
      "Samples the source and the reference, which may be None, through the flow into `condition` "
      "f32[1, 144, h, w]; over the source's colours those of `inside` are laid, and all blurred as "
      "far "
      "as `cover` says.");
}
