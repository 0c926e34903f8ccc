#include "denoise_step.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "visual_arguments.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

void bind_denoise_step(py::module_& module) {
  using Optional = std::optional<HostArray>;
  module.def(
      "denoise_step",
      [](const Optional& residual, const Optional& x_t, const HostArray& condition,
         const Optional& warp, HostArray& out, float c_x0, float c_xt, float sigma,
         std::uint64_t seed, std::uint32_t step_index, const Optional& residual_uncond,
         float guidance, std::optional<HostArray> next, float scale, float zero_point,
         int threads) {
        const DenoiseStep step{c_x0, c_xt, sigma, guidance, seed, step_index};
        const auto a =
            check_denoise_step(residual, x_t, condition, warp, out, residual_uncond, step);
        const NextInput next_input = check_next_input(next, a.out, scale, zero_point);
        require_threads(threads);
        const py::gil_scoped_release release;
        denoise_step(a.residual, a.residual_uncond, a.x_t, a.condition, a.warp, a.out, next_input,
                     step, threads);
      },
      py::arg("residual"), py::arg("x_t"), py::arg("condition"), py::arg("warp"), py::arg("out"),
      py::kw_only(), py::arg("c_x0"), py::arg("c_xt"), py::arg("sigma"), py::arg("seed"),
      py::arg("step"), py::arg("residual_uncond") = py::none(), py::arg("guidance") = 1.0f,
      py::arg("next") = py::none(), py::arg("scale") = 1.0f, py::arg("zero_point") = 0.0f,
      py::arg("threads") = 1,
      "One DDPM or DDIM step into `out` f32[1, 48, h, w]; and into `next`, where given, as a "
      "network reads it: f16, or u8 with value = scale * (byte - zero_point).");

  module.def(
      "philox4x32",
      [](const HostArray& counters, std::uint64_t key, HostArray& out) {
        const auto view = input_table<std::uint32_t>(counters, "counters", kAny, 4);
        std::uint32_t* words = output<std::uint32_t>(out, "out", {view.rows, 4});
        for (int i = 0; i < view.rows; ++i, words += 4) {
          const std::uint32_t* c = view.row(i);
          const PhiloxWords random = philox4x32({c[0], c[1], c[2], c[3]}, key);
          words[0] = random.w0;
          words[1] = random.w1;
          words[2] = random.w2;
          words[3] = random.w3;
        }
      },
      py::arg("counters"), py::arg("key"), py::arg("out"),
      "The random words behind the noise: `out` u32[n, 4] for `counters` u32[n, 4].");
}
