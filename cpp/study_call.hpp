// study_call.hpp: the study-only functions of the extension.
#pragma once
#include <pybind11/pybind11.h>

void frugalblas_add_study(pybind11::module_& m);
