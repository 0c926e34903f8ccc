// Device arrays at the Python border: anything with `__cuda_array_interface__` (PyTorch, CuPy,
// Numba, or an object that wraps a raw pointer in the same dictionary).
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings/array.h"

namespace parlante::bindings {

/// The kernels move 16-byte words. Allocators align to 256; only views into the middle fall short.
inline constexpr std::uintptr_t kDeviceAlignment = 16;

/// What the interface tells about an array; owns nothing.
class DeviceArray {
 public:
  DeviceArray(const py::object& object, const char* name) {
    if (!py::hasattr(object, "__cuda_array_interface__")) {
      throw py::type_error(std::string(name) +
                           ": expected an array in device memory (__cuda_array_interface__), got " +
                           std::string(py::str(py::type::of(object))));
    }
    const py::dict interface = object.attr("__cuda_array_interface__");
    for (const py::handle length : py::tuple(interface["shape"])) {
      shape_.push_back(length.cast<py::ssize_t>());
    }
    type_ = interface["typestr"].cast<std::string>();
    const py::tuple data = interface["data"];
    pointer_ = data[0].is_none() ? 0 : data[0].cast<std::uintptr_t>();
    read_only_ = data[1].cast<bool>();
    if (interface.contains("strides") && !interface["strides"].is_none()) {
      for (const py::handle stride : py::tuple(interface["strides"])) {
        strides_.push_back(stride.cast<py::ssize_t>());
      }
    }
  }

  py::ssize_t ndim() const { return static_cast<py::ssize_t>(shape_.size()); }
  py::ssize_t shape(py::ssize_t axis) const { return shape_[static_cast<std::size_t>(axis)]; }
  py::ssize_t size() const {
    py::ssize_t size = 1;
    for (const py::ssize_t length : shape_) {
      size *= length;
    }
    return size;
  }
  const std::string& type() const { return type_; }
  std::uintptr_t pointer() const { return pointer_; }
  bool read_only() const { return read_only_; }

  /// Whether rows follow one another without gaps; strides of axes of length 1 do not matter.
  bool is_contiguous(py::ssize_t item_size) const {
    py::ssize_t expected = item_size;
    for (std::size_t axis = strides_.size(); axis-- > 0;) {
      if (shape_[axis] > 1 && strides_[axis] != expected) {
        return size() == 0;
      }
      expected *= shape_[axis];
    }
    return true;
  }

 private:
  std::vector<py::ssize_t> shape_;
  std::vector<py::ssize_t> strides_;  // empty: C-contiguous
  std::string type_;
  std::uintptr_t pointer_ = 0;
  bool read_only_ = false;
};

/// An argument that may be None.
inline std::optional<DeviceArray> optional_array(const py::object& object, const char* name) {
  return object.is_none() ? std::nullopt : std::optional<DeviceArray>(std::in_place, object, name);
}

inline std::string describe_shape(const DeviceArray& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

template <typename T>
std::string type_string() {
  const bool real = std::is_floating_point_v<T> || std::is_same_v<T, Half>;
  const char kind = real ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  return (sizeof(T) == 1 ? "|" : "<") + std::string(1, kind) + std::to_string(sizeof(T));
}

template <typename T>
bool has_type(const DeviceArray& array) {
  return array.type() == type_string<T>();
}

/// Throws TypeError on a wrong dtype, ValueError on a wrong shape, layout or alignment.
template <typename T>
void require_array(const DeviceArray& array, const char* name,
                   std::initializer_list<py::ssize_t> shape) {
  const std::string prefix = std::string(name) + ": expected ";
  if (!has_type<T>(array)) {
    throw py::type_error(prefix + "type " + type_string<T>() + ", got " + array.type());
  }
  bool same = array.ndim() == static_cast<py::ssize_t>(shape.size());
  for (py::ssize_t i = 0; same && i < array.ndim(); ++i) {
    const py::ssize_t length = shape.begin()[i];
    same = length == kAny || length == array.shape(i);
  }
  if (!same) {
    throw py::value_error(prefix + "shape " + describe_shape(shape) + ", got " +
                          describe_shape(array));
  }
  if (!array.is_contiguous(sizeof(T)) || array.pointer() % kDeviceAlignment != 0) {
    throw py::value_error(prefix + "a C-contiguous array aligned to 16 bytes");
  }
}

template <typename T>
const T* input(const DeviceArray& array, const char* name,
               std::initializer_list<py::ssize_t> shape) {
  require_array<T>(array, name, shape);
  return reinterpret_cast<const T*>(array.pointer());
}

template <typename T>
T* output(DeviceArray& array, const char* name, std::initializer_list<py::ssize_t> shape) {
  require_array<T>(array, name, shape);
  if (array.read_only()) {
    throw py::value_error(std::string(name) + ": expected a writable array, got a read-only one");
  }
  return reinterpret_cast<T*>(array.pointer());
}

}  // namespace parlante::bindings
