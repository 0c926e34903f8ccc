// Objects of a class whose __init__ never ran: pybind11 would make them of memory as it is.
#pragma once

#include <pybind11/pybind11.h>

namespace parlante::bindings {

/// What `pybind11::detail::type_caster` of a class is to be: an object that `__new__` alone made
/// fits no argument, which is a TypeError.
template <typename T>
struct BegunCaster : pybind11::detail::type_caster_base<T> {
  bool load(pybind11::handle source, bool convert) {
    if (!pybind11::isinstance<T>(source)) {
      return false;
    }
    auto* const instance = reinterpret_cast<pybind11::detail::instance*>(source.ptr());
    const auto* const type = pybind11::detail::get_type_info(typeid(T));
    return instance->get_value_and_holder(type).holder_constructed() &&
           pybind11::detail::type_caster_base<T>::load(source, convert);
  }
};

}  // namespace parlante::bindings
