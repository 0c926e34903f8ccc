// parlante._cuda: the CUDA twins. ops.inc is written by CMake, one PARLANTE_OP(<op>) a binding.
#include <pybind11/pybind11.h>

#define PARLANTE_OP(op) void bind_##op(pybind11::module_&);
#include "ops.inc"
#undef PARLANTE_OP

PYBIND11_MODULE(_cuda, module) {
  module.doc() = "CUDA twins of the native ops of parlante.";
#define PARLANTE_OP(op) bind_##op(module);
#include "ops.inc"
#undef PARLANTE_OP
}
