"""The numbers and array types that the rooms of the SDK and the training code agree on.

What the native core needs, too, comes from there (csrc/contract.h). Change one of these and the
networks have to be trained again, and the bundle exported.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from parlante import _core

Float: TypeAlias = NDArray[np.float32]
Double: TypeAlias = NDArray[np.float64]
Image: TypeAlias = NDArray[np.uint8]  # [H, W, C], RGB unless said otherwise
Samples: TypeAlias = NDArray[Any]  # of sound: [n] or [n, channels]
Picture: TypeAlias = str | Path | bytes | Image  # a path, the bytes of an image file, or pixels

Mark = Literal["manifest", "watermark"]  # what says that a picture was made
Mood = Literal["neutral", "friendly", "serious", "sad", "surprised"]
Pixels = Literal["rgb", "bgr", "rgba", "nv12"]  # how a frame lies in memory
Precision = Literal["float32", "float16", "int8"]  # what the renderer's networks compute in

# --- time: integer sample counts, never seconds ---------------------------------------------------

SAMPLE_RATE: Final = _core.SAMPLE_RATE  # Hz; what speech is resampled to
SAMPLES_PER_FRAME: Final = 640  # of a frame of motion
NATIVE_FPS: Final = Fraction(SAMPLE_RATE, SAMPLES_PER_FRAME)  # 25

# --- log-mel --------------------------------------------------------------------------------------

FFT_SIZE: Final = _core.FFT_SIZE
HOP_LENGTH: Final = _core.HOP_LENGTH  # samples from one column to the next
MEL_BANDS: Final = _core.MEL_BANDS
MEL_LOW_HZ: Final = _core.MEL_LOW_HZ
MEL_HIGH_HZ: Final = _core.MEL_HIGH_HZ
MEL_FLOOR: Final = _core.MEL_FLOOR
SILENCE: Final = float(np.log(np.float32(MEL_FLOOR)))  # value of a silent band
MEL_PER_FRAME: Final = SAMPLES_PER_FRAME // HOP_LENGTH
# Columns that the audio encoder sees in a step, which end with the step's frame.
MEL_WINDOW: Final = 7

# --- motion ---------------------------------------------------------------------------------------

# The look-ahead: frames of sound that have to follow a frame before it can be drawn. By it, how
# many tokens a token of the audio encoder sees after its own in each layer.
FUTURES: Final = {1: (1, 0, 0), 2: (1, 1, 1), 4: (3, 2, 2)}
LOOK_AHEAD: Final = 4  # where nothing else is asked for
TOKENS: Final = 2  # of the audio encoder in a frame
LAYERS: Final = 3  # of the audio encoder
# What it remembers of so many tokens: in each layer tokens, keys and values.
MEMORY: Final = 53
REMEMBERED: Final = tuple(
    f"{kind}{layer}" for layer in range(LAYERS) for kind in ("token", "key", "value")
)
TOKEN: Final = 512  # numbers each
HEARD: Final = TOKENS * TOKEN  # numbers that say what is heard in a frame
EMBEDDING: Final = 128  # the same, of what lips, head and brows have to know
CONTEXT: Final = 11  # embeddings that the lip decoder sees, its frame's the last
POSE: Final = 6  # rotation vector, shift x and y, log scale
BROWS: Final = 5  # see `parlante.face.model.BROW_MODES`
# The dynamics VAE draws windows of WINDOW frames, which go on from the last TAIL frames.
TAIL: Final = 10
WINDOW: Final = 25
LATENT: Final = 32

# --- face -----------------------------------------------------------------------------------------

VERTICES: Final = 468  # of the MediaPipe face mesh; landmarks from there on are irises
IDENTITY: Final = 100  # modes of the 3DMM
EXPRESSION: Final = 53
# Widths of the codes that an expression splits into; the two of blinks are right and left.
LIP: Final = 16
BLINK: Final = 2
RESIDUAL: Final = 12

# --- picture --------------------------------------------------------------------------------------

GRID: Final = 256  # side of the crop in which landmarks are measured, pixels
UNSHUFFLE: Final = _core.UNSHUFFLE  # side of the block of pixels that becomes channels of one cell
CELL_PIXELS: Final = UNSHUFFLE * UNSHUFFLE
# The network draws square tiles. They lie under one another in an atlas: the mouth in the first,
# both eyes in the second.
TILE: Final = 128  # side of a tile, pixels
TILES: Final = 2
ATLAS: Final = (TILES * TILE, TILE)  # rows and columns, pixels
BANDS: Final = ((0, 128), (128, 192), (192, 256))  # rows of mouth, right eye and left eye
MOUTH: Final = 0  # the tiles, by number
EYES: Final = 1
PATCHES: Final = (range(1), range(1, 3))  # which of the bands are in each
CELLS: Final = (TILE // UNSHUFFLE, TILE // UNSHUFFLE)  # of a tile
# What the renderer is told of a frame: change of the codes and of the pose; and 1 for the tile.
ATTRIBUTES: Final = LIP + BLINK + RESIDUAL + POSE + TILES
COLOR_PLANES: Final = _core.COLOR_PLANES  # channels of an unshuffled picture
EDGE_REACH: Final = _core.EDGE_REACH  # pixels of the atlas to both sides of an edge of lips or lids
# What `pack` writes for a pixel: warp RGB, mask of what may be drawn, opening of lips or lids,
# upper teeth, lower teeth, gums and tongue, RGB of the warped reference and where there is one.
PLANES: Final = _core.PACKED_PLANES // CELL_PIXELS
CONDITION: Final = PLANES * CELL_PIXELS  # channels that the condition network reads
# Of these: what may be drawn, and the opening.
DRAWN_PLANES: Final = slice(COLOR_PLANES, COLOR_PLANES + CELL_PIXELS)
OPENING_PLANES: Final = slice(DRAWN_PLANES.stop, DRAWN_PLANES.stop + CELL_PIXELS)
