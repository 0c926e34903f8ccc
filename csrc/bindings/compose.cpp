#include "compose.h"

#include <pybind11/pybind11.h>

#include <string>

#include "view.h"

namespace py = pybind11;
using namespace parlante;
using namespace parlante::bindings;

namespace {

PixelFormat parse_format(const std::string& format) {
  if (format == "rgb") return PixelFormat::kRgb;
  if (format == "bgr") return PixelFormat::kBgr;
  if (format == "rgba") return PixelFormat::kRgba;
  if (format == "nv12") return PixelFormat::kNv12;
  throw py::value_error("format: expected 'rgb', 'bgr', 'rgba' or 'nv12', got '" + format + "'");
}

Background parse_background(const py::object& background) {
  const std::string text = py::str(background);
  if (py::isinstance<py::str>(background)) {
    if (text == "plate") return {Backdrop::kPlate, 0, 0, 0};
    if (text == "alpha") return {Backdrop::kAlpha, 0, 0, 0};
  } else if (py::isinstance<py::sequence>(background) && py::len(background) == 3) {
    float color[3];
    bool valid = true;
    for (int i = 0; i < 3; ++i) {
      // Any number, NumPy's too; for anything else this returns -1.
      const double value = PyFloat_AsDouble(py::object(background[py::int_(i)]).ptr());
      PyErr_Clear();
      color[i] = static_cast<float>(value);
      valid = valid && value >= 0 && value <= 255;
    }
    if (valid) return {Backdrop::kColor, color[0], color[1], color[2]};
  }
  throw py::value_error(
      "background: expected 'plate', 'alpha' or a colour (r, g, b) of 0..255, got " + text);
}

std::uint8_t* output_pixels(py::array& out, PixelFormat format, int rows, int columns) {
  switch (format) {
    case PixelFormat::kRgb:
    case PixelFormat::kBgr:
      return output<std::uint8_t>(out, "out", {rows, columns, 3});
    case PixelFormat::kRgba:
      return output<std::uint8_t>(out, "out", {rows, columns, 4});
    case PixelFormat::kNv12:
      break;
  }
  if (rows % 2 != 0 || columns % 2 != 0) {
    throw py::value_error("source: expected even rows and columns for nv12, got " +
                          std::to_string(rows) + " and " + std::to_string(columns));
  }
  return output<std::uint8_t>(out, "out", {rows + rows / 2, columns});
}

void compose_arrays(const py::array& source, const py::array& plate, const py::array& warp,
                    const py::array& x0, const py::array& condition, py::array& out,
                    const std::string& format_name, const py::object& background_value,
                    int threads) {
  const PixelFormat format = parse_format(format_name);
  const Background background = parse_background(background_value);
  if (background.kind == Backdrop::kAlpha && format != PixelFormat::kRgba) {
    throw py::value_error("background: 'alpha' needs format 'rgba', got '" + format_name + "'");
  }
  const auto source_view = input_image<std::uint8_t>(source, "source", kAny, kAny, 4);
  const auto plate_view =
      input_image<std::uint8_t>(plate, "plate", source_view.rows, source_view.columns, 3);
  const auto x0_view = input_planes(x0, "x0", kColorPlanes, kAny, kAny);
  const auto condition_view =
      input_first_planes(condition, "condition", kColorPlanes, x0_view.rows, x0_view.columns);
  const auto warp_view =
      input_image<float>(warp, "warp", x0_view.rows * kUnshuffle, x0_view.columns * kUnshuffle, 3);
  require_pixels(source, "source");
  require_pixels(x0, "x0");
  std::uint8_t* pixels = output_pixels(out, format, source_view.rows, source_view.columns);
  require_threads(threads);
  const py::gil_scoped_release release;
  compose(source_view, plate_view, warp_view, x0_view, condition_view, pixels, format, background,
          threads);
}

}  // namespace

void bind_compose(py::module_& module) {
  module.def("compose", &compose_arrays, py::arg("source"), py::arg("plate"), py::arg("warp"),
             py::arg("x0"), py::arg("condition"), py::arg("out"), py::kw_only(),
             py::arg("format") = "rgb", py::arg("background") = "plate", py::arg("threads") = 1,
             "Composes the frame at the resolution of `source` into `out`, 8-bit pixels.");
}
