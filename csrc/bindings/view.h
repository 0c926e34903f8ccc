// The checks of array.h for arrays that the visual ops see as views.
#pragma once

#include <climits>
#include <string>

#include "array.h"
#include "views.h"

namespace parlante::bindings {

/// The length of an axis as the int that the views hold.
inline int length(const py::array& array, const char* name, int axis) {
  const py::ssize_t length = array.shape(axis);
  if (length > INT_MAX) {
    throw py::value_error(std::string(name) + ": expected axis " + std::to_string(axis) +
                          " shorter than 2^31, got " + std::to_string(length));
  }
  return static_cast<int>(length);
}

template <typename T>
TableView<const T> input_table(const py::array& array, const char* name, py::ssize_t rows,
                               py::ssize_t columns) {
  const T* data = input<T>(array, name, {rows, columns});
  return {data, length(array, name, 0), length(array, name, 1)};
}

template <typename T>
ImageView<const T> input_image(const py::array& array, const char* name, py::ssize_t rows,
                               py::ssize_t columns, py::ssize_t channels) {
  const T* data = input<T>(array, name, {rows, columns, channels});
  return {data, length(array, name, 0), length(array, name, 1), length(array, name, 2)};
}

template <typename T>
ImageView<T> output_image(py::array& array, const char* name, py::ssize_t rows, py::ssize_t columns,
                          py::ssize_t channels) {
  T* data = output<T>(array, name, {rows, columns, channels});
  return {data, length(array, name, 0), length(array, name, 1), length(array, name, 2)};
}

inline void require_threads(int threads) {
  if (threads < 1) {
    throw py::value_error("threads: expected at least 1, got " + std::to_string(threads));
  }
}

}  // namespace parlante::bindings
