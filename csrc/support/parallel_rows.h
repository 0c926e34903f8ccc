// Splits the rows of an image over threads that wait for the next call.
#pragma once

#include <algorithm>

#include "support/scratch.h"

namespace parlante {

/// A part of some work: run(context, part, scratch).
struct Work {
  void (*run)(const void* context, int part, Scratch& scratch);
  const void* context;
};

/// Runs the parts [0, parts), each on a thread of its own, the last on the caller's; returns when
/// all are done. The threads are shared by all callers: where they are busy for another one, the
/// caller does everything itself. Allocates for a larger `parts` than ever before, and as `work`
/// takes more scratch memory than ever before.
void run_parts(const Work& work, int parts);

/// Calls body(begin, end, scratch) for consecutive parts of [0, rows) as `run_parts` does. A row's
/// result must not depend on the split.
template <class Body>
void parallel_rows(int rows, int threads, const Body& body) {
  const int parts = std::clamp(threads, 1, std::max(rows, 1));
  struct Context {
    const Body& body;
    int rows;
    int parts;
    int first_row(int part) const {
      return static_cast<int>(static_cast<long long>(rows) * part / parts);
    }
  } const context{body, rows, parts};
  const auto run = [](const void* of, int part, Scratch& scratch) {
    const auto& c = *static_cast<const Context*>(of);
    c.body(c.first_row(part), c.first_row(part + 1), scratch);
  };
  run_parts({run, &context}, parts);
}

}  // namespace parlante
