// Splits the rows of an image over threads that live for one call. Starting a thread costs some
// 15 us, little beside the ops that use this; in exchange there is no pool to own, to size, to
// fork with or to shut down.
#pragma once

#include <algorithm>
#include <thread>
#include <vector>

namespace parlante {

/// Calls body(begin, end) for consecutive parts of [0, rows), each on a thread of its own, the
/// last on the caller's; returns when all are done. A row's result must not depend on the split.
template <class Body>
void parallel_rows(int rows, int threads, const Body& body) {
  const int parts = std::clamp(threads, 1, std::max(rows, 1));
  const auto first_row = [&](int part) {
    return static_cast<int>(static_cast<long long>(rows) * part / parts);
  };
  std::vector<std::jthread> workers;
  workers.reserve(static_cast<std::size_t>(parts - 1));
  for (int part = 0; part + 1 < parts; ++part) {
    workers.emplace_back(
        [&body, begin = first_row(part), end = first_row(part + 1)] { body(begin, end); });
  }
  body(first_row(parts - 1), rows);
}

}  // namespace parlante
