#include "ops/denoise_step.h"

#include <pybind11/pybind11.h>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_denoise_step(py::module_& module) {
  module.def(
      "denoise_step",
      [](const py::object& residual, const py::object& x_t, const py::object& condition,
         const py::object& warp, const py::object& out, float c_x0, float c_xt, float sigma,
         std::uint64_t seed, std::uint32_t step, const py::object& next, float scale,
         float zero_point, std::uintptr_t stream) {
        DeviceArray out_array(out, "out");
        auto next_array = optional_array(next, "next");
        const auto arguments = check_denoise_step(
            optional_array(residual, "residual"), optional_array(x_t, "x_t"),
            DeviceArray(condition, "condition"), optional_array(warp, "warp"), out_array,
            next_array, scale, zero_point, {c_x0, c_xt, sigma, seed, step});
        const py::gil_scoped_release release;
        denoise_step_cuda(arguments, to_stream(stream));
      },
      py::arg("residual"), py::arg("x_t"), py::arg("condition"), py::arg("warp"), py::arg("out"),
      py::kw_only(), py::arg("c_x0"), py::arg("c_xt"), py::arg("sigma"), py::arg("seed"),
      py::arg("step"), py::arg("next") = py::none(), py::arg("scale") = 1.0f,
      py::arg("zero_point") = 0.0f, py::arg("stream"),
      "One DDPM or DDIM step into `out` f32[1, 48, h, w]; and into `next`, where given, as a "
      "network reads it: f16, or u8 with value = scale * (byte - zero_point).");
}
