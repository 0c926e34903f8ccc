#include "denoise_step.h"

#include <pybind11/pybind11.h>

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

std::optional<DeviceArray> optional_array(const py::object& object, const char* name) {
  return object.is_none() ? std::nullopt : std::optional<DeviceArray>(std::in_place, object, name);
}

}  // namespace

void bind_denoise_step(py::module_& module) {
  module.def(
      "denoise_step",
      [](const py::object& residual, const py::object& x_t, const py::object& condition,
         const py::object& warp, const py::object& out, float c_x0, float c_xt, float sigma,
         std::uint64_t seed, std::uint32_t step_index, const py::object& residual_uncond,
         float guidance, const py::object& next, float scale, float zero_point,
         std::uintptr_t stream) {
        const DenoiseStep step{c_x0, c_xt, sigma, guidance, seed, step_index};
        DeviceArray out_array(out, "out");
        const auto a =
            check_denoise_step(optional_array(residual, "residual"), optional_array(x_t, "x_t"),
                               DeviceArray(condition, "condition"), optional_array(warp, "warp"),
                               out_array, optional_array(residual_uncond, "residual_uncond"), step);
        auto next_array = optional_array(next, "next");
        const NextInput next_input = check_next_input(next_array, a.out, scale, zero_point);
        const py::gil_scoped_release release;
        denoise_step_cuda(a.residual, a.residual_uncond, a.x_t, a.condition, a.warp, a.out,
                          next_input, step, to_stream(stream));
      },
      py::arg("residual"), py::arg("x_t"), py::arg("condition"), py::arg("warp"), py::arg("out"),
      py::kw_only(), py::arg("c_x0"), py::arg("c_xt"), py::arg("sigma"), py::arg("seed"),
      py::arg("step"), py::arg("residual_uncond") = py::none(), py::arg("guidance") = 1.0f,
      py::arg("next") = py::none(), py::arg("scale") = 1.0f, py::arg("zero_point") = 0.0f,
      py::arg("stream"),
      "One DDPM or DDIM step into `out` f32[1, 48, h, w]; and into `next`, where given, as a "
      "network reads it: f16, or u8 with value = scale * (byte - zero_point).");
}
