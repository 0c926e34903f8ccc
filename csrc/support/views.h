// Views into caller-owned, C-contiguous arrays: a pointer and sizes, nothing is owned or copied.
// Plain aggregates, so that CUDA kernels take them by value.
#pragma once

#include <cstddef>

#include "support/host_device.h"

namespace parlante {

/// [rows, columns]: vertices, triangles, vertex attributes.
template <class T>
struct TableView {
  T* data;
  int rows;
  int columns;

  PARLANTE_HD T* row(int index) const {
    return data + static_cast<std::ptrdiff_t>(index) * columns;
  }
};

/// [rows, columns, channels]: images, warps.
template <class T>
struct ImageView {
  T* data;
  int rows;
  int columns;
  int channels;

  PARLANTE_HD T* row(int y) const {
    return data + static_cast<std::ptrdiff_t>(y) * columns * channels;
  }
  PARLANTE_HD T* at(int y, int x) const {
    return row(y) + static_cast<std::ptrdiff_t>(x) * channels;
  }
};

/// [planes, rows, columns]: network tensors of batch 1.
template <class T>
struct PlanesView {
  T* data;
  int planes;
  int rows;
  int columns;

  PARLANTE_HD T* row(int plane, int y) const {
    return data + (static_cast<std::ptrdiff_t>(plane) * rows + y) * columns;
  }
};

/// [tiles, planes, rows, columns]: images that lie under one another.
template <class T>
struct TilesView {
  T* data;
  int tiles;
  int planes;
  int rows;
  int columns;

  PARLANTE_HD T* row(int tile, int plane, int y) const {
    return data + ((static_cast<std::ptrdiff_t>(tile) * planes + plane) * rows + y) * columns;
  }
};

}  // namespace parlante
