#include "denoise_step.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "view.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

using OptionalArray = std::optional<py::array>;

PlanesView<const float> optional_planes(const OptionalArray& array, const char* name,
                                        const PlanesView<float>& like) {
  if (!array) {
    return {nullptr, 0, 0, 0};
  }
  return input_planes(*array, name, like.planes, like.rows, like.columns);
}

void denoise_step_arrays(const OptionalArray& residual, const OptionalArray& x_t,
                         const py::array& condition, const OptionalArray& warp, py::array& out,
                         float c_x0, float c_xt, float sigma, std::uint64_t seed,
                         std::uint32_t step, const OptionalArray& residual_uncond, float guidance,
                         int threads) {
  const auto out_view = output_planes(out, "out", kColorPlanes, kAny, kAny);
  const auto residual_view = optional_planes(residual, "residual", out_view);
  const auto uncond_view = optional_planes(residual_uncond, "residual_uncond", out_view);
  const auto x_t_view = optional_planes(x_t, "x_t", out_view);
  const auto condition_view =
      input_first_planes(condition, "condition", kColorPlanes, out_view.rows, out_view.columns);
  ImageView<const float> warp_view{nullptr, 0, 0, 0};
  if (warp) {
    warp_view = input_image<float>(*warp, "warp", out_view.rows * kUnshuffle,
                                   out_view.columns * kUnshuffle, 3);
  }
  if (!x_t && c_xt != 0) {
    throw py::value_error("x_t: expected an array where c_xt is not 0, got None");
  }
  if (residual_uncond && !residual) {
    throw py::value_error("residual: expected an array beside residual_uncond, got None");
  }
  if (!residual_uncond && guidance != 1) {
    throw py::value_error("residual_uncond: expected an array where guidance is not 1, got None");
  }
  require_threads(threads);
  const py::gil_scoped_release release;
  denoise_step(residual_view, uncond_view, x_t_view, condition_view, warp_view, out_view,
               {c_x0, c_xt, sigma, guidance, seed, step}, threads);
}

void philox_arrays(const py::array& counters, std::uint64_t key, py::array& out) {
  const auto counter_view = input_table<std::uint32_t>(counters, "counters", kAny, 4);
  std::uint32_t* words = output<std::uint32_t>(out, "out", {counter_view.rows, 4});
  for (int i = 0; i < counter_view.rows; ++i) {
    const std::uint32_t* counter = counter_view.row(i);
    const PhiloxWords random = philox4x32({counter[0], counter[1], counter[2], counter[3]}, key);
    words[4 * i] = random.w0;
    words[4 * i + 1] = random.w1;
    words[4 * i + 2] = random.w2;
    words[4 * i + 3] = random.w3;
  }
}

}  // namespace

void bind_denoise_step(py::module_& module) {
  module.def("denoise_step", &denoise_step_arrays, py::arg("residual").none(true),
             py::arg("x_t").none(true), py::arg("condition"), py::arg("warp").none(true),
             py::arg("out"), py::kw_only(), py::arg("c_x0"), py::arg("c_xt"), py::arg("sigma"),
             py::arg("seed"), py::arg("step"), py::arg("residual_uncond") = py::none(),
             py::arg("guidance") = 1.0f, py::arg("threads") = 1,
             "One DDPM or DDIM step into `out` f32[1, 48, h, w].");
  module.def("philox4x32", &philox_arrays, py::arg("counters"), py::arg("key"), py::arg("out"),
             "The random words behind the noise: `out` u32[n, 4] for `counters` u32[n, 4].");
}
