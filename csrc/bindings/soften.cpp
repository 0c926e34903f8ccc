#include "ops/soften.h"

#include <pybind11/pybind11.h>

#include <string>

#include "bindings/views.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

/// [H, W, C], or [H, W]: of one channel.
ImageView<std::uint8_t> picture(HostArray& image) {
  if (image.ndim() == 2) {
    auto* data = output<std::uint8_t>(image, "image", {kAny, kAny});
    require_int_sized(image, "image");
    return {data, length(image, 0), length(image, 1), 1};
  }
  const auto view = output_image<std::uint8_t>(image, "image", kAny, kAny, kAny);
  if (view.channels < 1 || view.channels > kMaxSoftenChannels) {
    throw py::value_error("image: expected 1 to " + std::to_string(kMaxSoftenChannels) +
                          " channels, got shape " + describe_shape(image));
  }
  return view;
}

}  // namespace

void bind_soften(py::module_& module) {
  module.def(
      "soften",
      [](HostArray& image, const HostArray& outlines, const HostArray& flow) {
        const SoftenArguments arguments{picture(image),
                                        input_image<float>(outlines, "outlines", kAny, 2, 2),
                                        input_image<float>(flow, "flow", kAny, kAny, 2)};
        const py::gil_scoped_release release;
        soften(arguments);
      },
      py::arg("image"), py::arg("outlines"), py::arg("flow"),
      "Blurs `image` u8[H, W, C] or u8[H, W], in place, along the lines `outlines` f32[N, 2, 2], "
      "in pixels of `flow` f32[h, w, 2], where that jumps: steps become smooth, nothing is blurred "
      "across.");
}
