// Checks at the Python border: arrays in, raw pointers out, no copies.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "support/finite.h"
#include "support/number_formats.h"

namespace parlante::bindings {

namespace py = pybind11;

/// An argument in host memory: numpy's own array, or what another library shares with it by DLPack
/// (torch on the CPU, JAX, numpy itself).
class HostArray : public py::array {
 public:
  HostArray() = default;
  explicit HostArray(py::array array) : py::array(std::move(array)) {}
};

/// Stands for "any length" in an expected shape.
inline constexpr py::ssize_t kAny = -1;

inline std::string describe_shape(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

inline std::string describe_shape(std::initializer_list<py::ssize_t> shape) {
  std::string text = "(";
  for (const py::ssize_t* length = shape.begin(); length != shape.end(); ++length) {
    text += (length != shape.begin() ? ", " : "");
    text += *length == kAny ? "any" : std::to_string(*length);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

template <typename T>
py::dtype dtype_of() {
  if constexpr (std::is_same_v<T, Half>) {
    return py::dtype("float16");
  } else {
    return py::dtype::of<T>();
  }
}

template <typename T>
bool has_type(const py::array& array) {
  return array.dtype().equal(dtype_of<T>());
}

/// Throws TypeError on a wrong dtype, ValueError on a wrong shape, layout or alignment.
template <typename T>
void require_array(const py::array& array, const char* name,
                   std::initializer_list<py::ssize_t> shape) {
  const std::string prefix = std::string(name) + ": expected ";
  if (!has_type<T>(array)) {
    throw py::type_error(prefix + "dtype " + std::string(py::str(dtype_of<T>())) + ", got " +
                         std::string(py::str(array.dtype())));
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
  constexpr int kLayout =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kLayout) != kLayout) {
    throw py::value_error(prefix + "a C-contiguous, aligned array, got strides that are not");
  }
}

/// The checked data of an array that the op reads.
template <typename T>
const T* input(const py::array& array, const char* name, std::initializer_list<py::ssize_t> shape) {
  require_array<T>(array, name, shape);
  return static_cast<const T*>(array.data());
}

/// The checked samples of a signal f32[n]; throws ValueError when one is NaN or infinite.
inline std::span<const float> input_signal(const py::array& array, const char* name) {
  const std::span<const float> samples(input<float>(array, name, {kAny}),
                                       static_cast<std::size_t>(array.size()));
  const std::size_t index = first_non_finite(samples);
  if (index < samples.size()) {
    throw py::value_error(std::string(name) + ": expected finite samples, got " +
                          std::to_string(samples[index]) + " at index " + std::to_string(index));
  }
  return samples;
}

/// The checked data of a caller-owned array that the op writes.
template <typename T>
T* output(py::array& array, const char* name, std::initializer_list<py::ssize_t> shape) {
  require_array<T>(array, name, shape);
  if (!array.writeable()) {
    throw py::value_error(std::string(name) + ": expected a writable array, got a read-only one");
  }
  return static_cast<T*>(array.mutable_data());
}

}  // namespace parlante::bindings

template <>
struct pybind11::detail::type_caster<parlante::bindings::HostArray> {
  PYBIND11_TYPE_CASTER(parlante::bindings::HostArray, const_name("numpy.ndarray"));

  bool load(handle source, bool) {
    if (isinstance<array>(source)) {
      value = parlante::bindings::HostArray(reinterpret_borrow<array>(source));
      return true;
    }
    if (!hasattr(source, "__dlpack__")) {
      return false;
    }
    // Throws where the memory is a device's.
    value = parlante::bindings::HostArray(module_::import("numpy").attr("from_dlpack")(source));
    return true;
  }
};
