// The checks of array.h for arrays that the visual ops see as views. `Array` is py::array here and
// DeviceArray in the bindings of the CUDA twins.
#pragma once

#include <climits>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "bindings/array.h"
#include "support/views.h"

namespace parlante::bindings {

/// Views and kernels index with int.
template <class Array>
void require_int_sized(const Array& array, const char* name) {
  if (array.size() > INT_MAX) {
    throw py::value_error(std::string(name) + ": expected fewer than 2^31 values, got " +
                          std::to_string(array.size()));
  }
}

template <class Array>
void require_pixels(const Array& array, const char* name) {
  if (array.size() == 0) {
    throw py::value_error(std::string(name) + ": expected at least one pixel, got shape " +
                          describe_shape(array));
  }
}

template <class Array>
int length(const Array& array, int axis) {
  return static_cast<int>(array.shape(axis));
}

template <typename T, class Array>
TableView<const T> input_table(const Array& array, const char* name, py::ssize_t rows,
                               py::ssize_t columns) {
  const T* data = input<T>(array, name, {rows, columns});
  require_int_sized(array, name);
  return {data, length(array, 0), length(array, 1)};
}

template <typename T, class Array>
ImageView<const T> input_image(const Array& array, const char* name, py::ssize_t rows,
                               py::ssize_t columns, py::ssize_t channels) {
  const T* data = input<T>(array, name, {rows, columns, channels});
  require_int_sized(array, name);
  return {data, length(array, 0), length(array, 1), length(array, 2)};
}

template <typename T, class Array>
ImageView<T> output_image(Array& array, const char* name, py::ssize_t rows, py::ssize_t columns,
                          py::ssize_t channels) {
  T* data = output<T>(array, name, {rows, columns, channels});
  require_int_sized(array, name);
  return {data, length(array, 0), length(array, 1), length(array, 2)};
}

/// A network tensor [1, planes, rows, columns].
template <class Array>
PlanesView<const float> input_planes(const Array& array, const char* name, py::ssize_t planes,
                                     py::ssize_t rows, py::ssize_t columns) {
  const float* data = input<float>(array, name, {1, planes, rows, columns});
  require_int_sized(array, name);
  return {data, length(array, 1), length(array, 2), length(array, 3)};
}

template <class Array>
PlanesView<float> output_planes(Array& array, const char* name, py::ssize_t planes,
                                py::ssize_t rows, py::ssize_t columns) {
  float* data = output<float>(array, name, {1, planes, rows, columns});
  require_int_sized(array, name);
  return {data, length(array, 1), length(array, 2), length(array, 3)};
}

/// Of a tensor whose first planes the op reads; it may hold more.
template <class Array>
void require_planes(const Array& array, const char* name, int planes) {
  if (length(array, 1) < planes) {
    throw py::value_error(std::string(name) + ": expected at least " + std::to_string(planes) +
                          " planes, got shape " + describe_shape(array));
  }
}

template <class Array>
TilesView<const float> input_tiles(const Array& array, const char* name, py::ssize_t tiles,
                                   py::ssize_t planes, py::ssize_t rows, py::ssize_t columns) {
  const float* data = input<float>(array, name, {tiles, planes, rows, columns});
  require_int_sized(array, name);
  return {data, length(array, 0), length(array, 1), length(array, 2), length(array, 3)};
}

/// Throws ValueError where an op would write over indices that it has checked.
template <typename T, typename Index>
void require_apart(const T* out, std::size_t count, const char* name,
                   const TableView<Index>& indices, const char* indices_name) {
  const std::less<const void*> before;
  const Index* const end = indices.row(indices.rows);
  if (count > 0 && before(out, end) && before(indices.data, out + count)) {
    throw py::value_error(std::string(name) + ": expected memory of its own, got memory that " +
                          indices_name + " lies in, too");
  }
}

inline void require_threads(int threads) {
  if (threads < 1) {
    throw py::value_error("threads: expected at least 1, got " + std::to_string(threads));
  }
}

}  // namespace parlante::bindings
