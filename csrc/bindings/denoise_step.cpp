#include "ops/denoise_step.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_denoise_step(py::module_& module) {
  using Optional = std::optional<HostArray>;
  module.def(
      "denoise_step",
      [](const Optional& residual, const Optional& x_t, const HostArray& condition,
         const Optional& warp, HostArray& out, float c_x0, float c_xt, float sigma,
         std::uint64_t seed, std::uint32_t step, Optional next, float scale, float zero_point,
         int threads) {
        const auto arguments = check_denoise_step(residual, x_t, condition, warp, out, next, scale,
                                                  zero_point, {c_x0, c_xt, sigma, seed, step});
        require_threads(threads);
        const py::gil_scoped_release release;
        denoise_step(arguments, threads);
      },
      py::arg("residual"), py::arg("x_t"), py::arg("condition"), py::arg("warp"), py::arg("out"),
      py::kw_only(), py::arg("c_x0"), py::arg("c_xt"), py::arg("sigma"), py::arg("seed"),
      py::arg("step"), py::arg("next") = py::none(), py::arg("scale") = 1.0f,
      py::arg("zero_point") = 0.0f, py::arg("threads") = 1,
      "One DDPM or DDIM step into `out` f32[1, 48, h, w]; and into `next`, where given, as a "
      "network reads it: f16, or u8 with value = scale * (byte - zero_point).");
}
