#include "support/isa.h"

#include <pybind11/pybind11.h>

#include <string>

namespace py = pybind11;
using namespace parlante;

void bind_isa(py::module_& module) {
  module.def(
      "isa_levels",
      [] {
        py::list names;
        for (const Isa level : isa_levels()) {
          names.append(isa_name(level));
        }
        return names;
      },
      "Levels of instructions that the ops can run at on this CPU, the weakest first.");
  module.def(
      "isa_level", [] { return isa_name(isa_level()); },
      "The level that the ops run at: the strongest, unless set_isa_level chose another.");
  module.def(
      "set_isa_level",
      [](const std::string& name) {
        std::string offered;
        for (const Isa level : isa_levels()) {
          if (name == isa_name(level)) {
            return set_isa_level(level);
          }
          offered += (offered.empty() ? "'" : ", '") + std::string(isa_name(level)) + "'";
        }
        throw py::value_error("name: expected one of " + offered + ", got '" + name + "'");
      },
      py::arg("name"),
      "Sets the level for the whole process, for benchmarks: every level gives the same bits. A "
      "LogMel keeps the level that it was made at.");
}
