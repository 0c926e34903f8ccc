// Argument checks of the visual ops, shared by the bindings of the CPU loops (Array = HostArray)
// and of the CUDA twins (Array = DeviceArray). Each returns what the op takes.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "bindings/views.h"
#include "ops/compose.h"
#include "ops/denoise_step.h"
#include "ops/pack.h"
#include "ops/rasterize.h"

namespace parlante::bindings {

template <class Array>
RasterizeArguments check_rasterize(const Array& vertices, const Array& triangles,
                                   const Array& attributes, Array& out, Array& depth) {
  RasterizeArguments arguments;
  arguments.vertices = input_table<float>(vertices, "vertices", kAny, 3);
  arguments.triangles = input_table<std::int32_t>(triangles, "triangles", kAny, 3);
  arguments.attributes =
      input_table<float>(attributes, "attributes", arguments.vertices.rows, kAny);
  require_attribute_count(arguments.attributes.columns);
  arguments.out = output_image<float>(out, "out", kAny, kAny, arguments.attributes.columns);
  const int rows = arguments.out.rows;
  const int columns = arguments.out.columns;
  arguments.depth = {output<float>(depth, "depth", {rows, columns}), rows, columns, 1};
  const auto count = static_cast<std::size_t>(rows) * columns;
  require_apart(arguments.out.data, count * arguments.out.channels, "out", arguments.triangles,
                "triangles");
  require_apart(arguments.depth.data, count, "depth", arguments.triangles, "triangles");
  return arguments;
}

template <class Array>
PackArguments check_pack(const Array& source, const std::optional<Array>& reference,
                         const Array& flow, const std::optional<Array>& inside,
                         const std::optional<Array>& cover, Array& condition) {
  PackArguments arguments{};
  arguments.flow = input_image<float>(flow, "flow", kAny, kAny, kFlowChannels);
  const int rows = arguments.flow.rows;
  const int columns = arguments.flow.columns;
  if (rows % kUnshuffle != 0 || columns % kUnshuffle != 0) {
    throw py::value_error("flow: expected rows and columns in multiples of 4, got shape " +
                          describe_shape(flow));
  }
  arguments.source = input_image<std::uint8_t>(source, "source", kAny, kAny, 4);
  require_pixels(source, "source");
  if (reference) {
    arguments.reference = input_image<std::uint8_t>(*reference, "reference", kAny, kAny, 4);
    require_pixels(*reference, "reference");
  }
  if (inside) {
    arguments.inside = input_image<float>(*inside, "inside", rows, columns, 4);
  }
  if (cover) {
    arguments.cover = input_table<float>(*cover, "cover", rows, columns);
  }
  arguments.condition =
      output_planes(condition, "condition", kPackedPlanes, rows / kUnshuffle, columns / kUnshuffle);
  return arguments;
}

template <class Array>
NextInput check_next_input(std::optional<Array>& next, const PlanesView<float>& out, float scale,
                           float zero_point) {
  NextInput arguments{nullptr, nullptr, scale, zero_point};
  if (!next) {
    return arguments;
  }
  const auto shape = {py::ssize_t{1}, py::ssize_t{out.planes}, py::ssize_t{out.rows},
                      py::ssize_t{out.columns}};
  if (has_type<Half>(*next)) {
    arguments.halves = output<Half>(*next, "next", shape);
  } else {
    arguments.bytes = output<std::uint8_t>(*next, "next", shape);
  }
  if (!(scale > 0) || !(zero_point >= 0 && zero_point <= 255) ||
      zero_point != round_even(zero_point)) {
    throw py::value_error("scale, zero_point: expected more than 0 and a whole number of 0..255, " +
                          std::string("got ") + std::to_string(scale) + " and " +
                          std::to_string(zero_point));
  }
  return arguments;
}

template <class Array>
DenoiseArguments check_denoise_step(const std::optional<Array>& residual,
                                    const std::optional<Array>& x_t, const Array& condition,
                                    const std::optional<Array>& warp, Array& out,
                                    std::optional<Array>& next, float scale, float zero_point,
                                    const DenoiseStep& step) {
  DenoiseArguments arguments{};
  arguments.out = output_planes(out, "out", kColorPlanes, kAny, kAny);
  const int rows = arguments.out.rows;
  const int columns = arguments.out.columns;
  const auto optional_planes = [&](const std::optional<Array>& array, const char* name) {
    return array ? input_planes(*array, name, kColorPlanes, rows, columns)
                 : PlanesView<const float>{};
  };
  arguments.residual = optional_planes(residual, "residual");
  arguments.x_t = optional_planes(x_t, "x_t");
  arguments.condition = input_planes(condition, "condition", kAny, rows, columns);
  require_planes(condition, "condition", kColorPlanes);
  if (warp) {
    arguments.warp =
        input_image<float>(*warp, "warp", rows * kUnshuffle, columns * kUnshuffle, kAny);
    if (arguments.warp.channels < 2) {
      throw py::value_error("warp: expected at least 2 channels, got shape " +
                            describe_shape(*warp));
    }
  }
  if (!x_t && step.c_xt != 0) {
    throw py::value_error("x_t: expected an array where c_xt is not 0, got None");
  }
  arguments.next = check_next_input(next, arguments.out, scale, zero_point);
  arguments.step = step;
  return arguments;
}

inline PixelFormat parse_format(const std::string& format) {
  if (format == "rgb") {
    return PixelFormat::kRgb;
  }
  if (format == "bgr") {
    return PixelFormat::kBgr;
  }
  if (format == "rgba") {
    return PixelFormat::kRgba;
  }
  if (format == "nv12") {
    return PixelFormat::kNv12;
  }
  throw py::value_error("format: expected 'rgb', 'bgr', 'rgba' or 'nv12', got '" + format + "'");
}

inline Background parse_background(const py::object& background) {
  const std::string text = py::str(background);
  if (py::isinstance<py::str>(background)) {
    if (text == "plate") {
      return {Backdrop::kPlate, 0, 0, 0};
    }
    if (text == "alpha") {
      return {Backdrop::kAlpha, 0, 0, 0};
    }
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
    if (valid) {
      return {Backdrop::kColor, color[0], color[1], color[2]};
    }
  }
  throw py::value_error(
      "background: expected 'plate', 'alpha' or a colour (r, g, b) of 0..255, got " + text);
}

template <class Array>
std::uint8_t* output_pixels(Array& out, PixelFormat format, int rows, int columns) {
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
    throw py::value_error("plate: expected even rows and columns for nv12, got " +
                          std::to_string(rows) + " and " + std::to_string(columns));
  }
  return output<std::uint8_t>(out, "out", {rows + rows / 2, columns});
}

template <class Array>
ComposeArguments check_compose(const Array& source, const Array& plate, const Array& warp,
                               const std::optional<Array>& x0,
                               const std::optional<Array>& condition,
                               const std::optional<Array>& cover, const Array& places,
                               const Array& bands, Array& out, const std::string& format,
                               const py::object& background, std::pair<int, int> corner) {
  ComposeArguments arguments{};
  arguments.format = parse_format(format);
  arguments.background = parse_background(background);
  if (arguments.background.kind == Backdrop::kAlpha && arguments.format != PixelFormat::kRgba) {
    throw py::value_error("background: 'alpha' needs format 'rgba', got '" + format + "'");
  }
  arguments.source = input_image<std::uint8_t>(source, "source", kAny, kAny, 4);
  arguments.plate = input_image<std::uint8_t>(plate, "plate", kAny, kAny, 3);
  const int rows = arguments.plate.rows;
  const int columns = arguments.plate.columns;
  const auto [left, top] = corner;
  if (left < 0 || top < 0 || left > arguments.source.columns - columns ||
      top > arguments.source.rows - rows) {
    throw py::value_error("corner, plate: expected a plate within the source of shape " +
                          describe_shape(source) + ", got corner (" + std::to_string(left) + ", " +
                          std::to_string(top) + ") and a plate of shape " + describe_shape(plate));
  }
  arguments.left = left;
  arguments.top = top;
  arguments.warp = input_image<float>(warp, "warp", kAny, kAny, 2);
  require_pixels(plate, "plate");
  require_pixels(warp, "warp");
  py::ssize_t tiles = kAny, atlas_rows = kAny, atlas_columns = kAny;
  if (x0) {
    if (!condition) {
      throw py::value_error("condition: expected an array where x0 is one, got None");
    }
    arguments.x0 = input_tiles(*x0, "x0", kAny, kColorPlanes, kAny, kAny);
    require_pixels(*x0, "x0");
    tiles = arguments.x0.tiles;
    atlas_rows = tiles * kUnshuffle * arguments.x0.rows;
    atlas_columns = kUnshuffle * arguments.x0.columns;
  }
  if (condition) {
    arguments.condition =
        input_tiles(*condition, "condition", tiles, kAny, x0 ? arguments.x0.rows : kAny,
                    x0 ? arguments.x0.columns : kAny);
    require_planes(*condition, "condition", kColorPlanes);
  }
  if (cover) {
    arguments.cover = input_table<float>(*cover, "cover", atlas_rows, atlas_columns);
  }
  arguments.places = input_image<float>(places, "places", kAny, 2, 3);
  arguments.bands = input_table<std::int32_t>(bands, "bands", arguments.places.rows, 2);
  arguments.out = output_pixels(out, arguments.format, rows, columns);
  require_apart(arguments.out, static_cast<std::size_t>(out.size()), "out", arguments.bands,
                "bands");
  return arguments;
}

}  // namespace parlante::bindings
