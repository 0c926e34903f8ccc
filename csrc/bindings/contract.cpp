#include "contract.h"

#include <pybind11/pybind11.h>

namespace py = pybind11;
using namespace parlante;

void bind_contract(py::module_& module) {
  module.attr("SAMPLE_RATE") = kSampleRate;
  module.attr("FFT_SIZE") = kFftSize;
  module.attr("HOP_LENGTH") = kHopLength;
  module.attr("MEL_BANDS") = kMelBands;
  module.attr("MEL_LOW_HZ") = kMelLowHz;
  module.attr("MEL_HIGH_HZ") = kMelHighHz;
  module.attr("MEL_FLOOR") = kMelFloor;
  module.attr("UNSHUFFLE") = kUnshuffle;
  module.attr("COLOR_PLANES") = kColorPlanes;
  module.attr("PACKED_PLANES") = kPackedPlanes;
  module.attr("EDGE_REACH") = kEdgeReach;
}
