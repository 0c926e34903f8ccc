// Scratch rows of a picture, one for each of its channels.
#pragma once

#include <cstddef>

#include "support/scratch.h"

namespace parlante {

/// Some rows of floats behind one another.
class Rows {
 public:
  Rows(int count, int columns, Scratch& scratch)
      : columns_(columns),
        values_(scratch.take<float>(static_cast<std::size_t>(count) * columns)) {}
  float* operator[](int i) const { return values_ + static_cast<std::ptrdiff_t>(i) * columns_; }

 private:
  int columns_;
  float* values_;
};

}  // namespace parlante
