// Layout of network tensors: an image pixel-unshuffled by 4, so that the network runs on a grid of
// a sixteenth of the pixels. Image i fills planes 16 i .. 16 i + 15; plane 16 i + 4 dy + dx holds
// at (y, x) the image's pixel (4 y + dy, 4 x + dx): the order of
// torch.nn.functional.pixel_unshuffle.
#pragma once

#include "contract.h"
#include "support/host_device.h"

namespace parlante {

PARLANTE_HD int unshuffled_plane(int image, int dy, int dx) {
  return (image * kUnshuffle + dy) * kUnshuffle + dx;
}

}  // namespace parlante
