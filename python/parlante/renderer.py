"""The renderer: one `Motion` in, one picture out.

attributes → 3DMM → mesh → rasterise → pack → condition network → K denoising steps → compose. Each
frame depends on its motion, the portrait and the seed alone, never on the frame before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from parlante import _core
from parlante.bundle import RENDERER, Bundle
from parlante.face_model import BLINK_MODES, EXPRESSION_MAX, FaceModel, Float
from parlante.motion import POSE, Motion
from parlante.portrait import GRID, Portrait
from parlante.schedule import Step, make_schedule

CELLS = GRID // 4
PLANES = 8  # see `pack`: warp RGB, matte, mouth opening, upper teeth, lower teeth, gums and tongue
FRAME_CHANNELS = 48
Pixels = Literal["rgb", "bgr", "rgba", "nv12"]
Precision = Literal["float32", "float16", "int8"]
Backdrop = tuple[int, int, int] | NDArray[np.uint8] | None


@dataclass(frozen=True)
class Gains:
    """How strongly the driven attributes act: 1 as generated, 0 not at all."""

    pose: float = 1.0
    blink: float = 1.0
    expression: float = 1.0


@dataclass
class StageTimes:
    """Seconds spent in each stage since the start, and frames drawn."""

    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def add(self, stage: str, since: float) -> float:
        """Book the time from ``since`` until now on ``stage``; returns now."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class BoundNetwork:
    """A network whose inputs and outputs stay where they are: a run copies and allocates nothing
    of theirs."""

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: dict[str, NDArray[Any]]
    ) -> None:
        """inputs: arrays that `run` reads, C-contiguous, of the network's own types and shapes."""
        self._session, self._binding, self.inputs = session, session.io_binding(), inputs
        self.outputs: dict[str, NDArray[Any]] = {
            value.name: np.empty(value.shape, DTYPES[value.type]) for value in session.get_outputs()
        }
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, _value(array))
        for name, array in self.outputs.items():
            self._binding.bind_ortvalue_output(name, _value(array))

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)


def _value(array: NDArray[Any]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


class FrameRenderer:
    """Draws the frames of one portrait.

    size: side of the picture in pixels; steps: diffusion steps K; seed: of the noise field, which
    is fixed for the renderer's life and carried with the mesh, so that frames do not flicker;
    precision: what the networks compute in, where the bundle has them in it; pixels: rgb, bgr, rgba
    or nv12; background: None for the photo's own, a colour (r, g, b), or a picture uint8 [size,
    size, 3] RGB; rgba without one has the matte as its alpha.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: FaceModel,
        portrait: Portrait,
        *,
        size: int,
        steps: int,
        seed: int = 0,
        gains: Gains = Gains(),
        pixels: Pixels = "rgb",
        background: Backdrop = None,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 2,
    ) -> None:
        kind = "" if precision == "float32" else f"_{precision}"
        networks = {
            name: bundle.session(f"{name}{kind}", device=device, threads=threads)
            for name in RENDERER
        }
        self._encode = bundle.session("attributes_encode", device=device, threads=1)
        self._decode = bundle.session("attributes_decode", device=device, threads=1)
        sampling = bundle.manifest.networks[f"denoise{kind}"]
        self._schedule = make_schedule(
            steps, sampler=sampling["sampler"], start=int(sampling["start"])
        )
        self.model, self._portrait, self._gains = model, portrait, gains
        self._seed, self._size, self._threads = seed, size, threads
        self._mesh = portrait.mesh(model)
        self.times = StageTimes()

        self._source_256, self._plate_256 = portrait.at(GRID)
        self._source, self._plate = portrait.at(size)
        self._pixels: Pixels = pixels
        self._background: tuple[int, int, int] | Literal["plate", "picture", "alpha"] = "plate"
        if isinstance(background, tuple):
            self._background = background
        elif background is not None:
            self._background, self._plate = "picture", background
        elif pixels == "rgba":
            self._background = "alpha"
        identity = np.zeros((GRID, GRID, 3), np.float32)
        identity[..., 1], identity[..., 0] = np.mgrid[:GRID, :GRID]
        self._identity_warp = identity
        self._warp = np.empty_like(identity)
        self._interior = np.empty_like(identity)
        self._depth = np.empty((GRID, GRID), np.float32)
        channels = PLANES * 16 + portrait.features.shape[0]
        self._condition = np.empty((1, channels, CELLS, CELLS), np.float32)
        self._x = np.empty((1, FRAME_CHANNELS, CELLS, CELLS), np.float32)
        # The same in the denoiser's number format, where that is another.
        self._next: NDArray[Any] | None = None
        self._next_format: dict[str, Any] = sampling.get("x_t", {})
        dtype = DTYPES[sampling["inputs"]["x_t"]["type"]]
        if dtype is not np.float32:
            self._next = np.empty(self._x.shape, dtype)
        self._timestep = np.empty(1, np.float32)
        self._lip_modes = list(model.mode_groups["lip"])
        self._jaw = model.expression_names.index("jawOpen")
        self._blink_modes = [model.expression_names.index(name) for name in BLINK_MODES]
        names = ["lip", "blink", "residual"]
        source = portrait.expression[None]
        self._codes = dict(zip(names, self._encode.run(names, {"expression": source}), strict=True))
        width = sum(code.shape[1] for code in self._codes.values()) + POSE
        self._attributes = np.empty((1, width), np.float32)
        condition = BoundNetwork(
            networks["condition"],
            {
                "condition": self._condition,
                "attributes": self._attributes,
                "style": portrait.style,
            },
        )
        denoise = BoundNetwork(
            networks["denoise"],
            {
                "x_t": self._x if self._next is None else self._next,
                "timestep": self._timestep,
                **condition.outputs,
            },
        )
        self.networks = {"condition": condition, "denoise": denoise}
        self.shut = np.array(bundle.manifest.networks["lip_decode"]["shut"], np.float32)
        self._shut_lips = self._lips(self.shut)

    def expression(self, motion: Motion) -> Float:
        """3DMM expression [53] of one motion: the photo's own, with lips and lids replaced.

        The code of shut lips shuts this photo's lips: how far a fitted mouth is open depends on the
        shape that the fit gave to the face, so the jaw is measured from there.
        """
        expression = self._portrait.expression.copy()
        lip = self.shut + np.float32(self._gains.expression) * (motion.lip - self.shut)
        expression[self._lip_modes] += self._lips(lip) - self._shut_lips
        expression[self._jaw] += self._mesh.shut_jaw
        closure = np.clip(motion.closure * np.float32(self._gains.blink), 0, 1)
        own = self._portrait.expression[self._blink_modes]
        expression[self._blink_modes] = own + closure * np.maximum(self._mesh.closed_blink - own, 0)
        return np.asarray(np.clip(expression, -EXPRESSION_MAX, 2 * EXPRESSION_MAX), np.float32)

    def _lips(self, lip: Float) -> Float:
        """Lip modes of the expression that a lip code [16] decodes to."""
        codes = {**self._codes, "lip": np.asarray(lip[None], np.float32)}
        (made,) = self._decode.run(["expression"], codes)
        return np.asarray(made[0, self._lip_modes])

    def render(self, motion: Motion) -> NDArray[np.uint8]:
        """The picture uint8 [size, size, 3] of one motion (4 channels for rgba; nv12: [1.5 · size,
        size])."""
        change = motion.pose * np.float32(self._gains.pose)
        return self.draw(self.expression(motion), change)

    def draw(self, expression: Float, pose_change: Float) -> NDArray[np.uint8]:
        """The picture, as `render`, for explicit attributes: expression float32 [53], pose change
        float32 [6] from the photo's pose."""
        now = time.perf_counter()
        self.warp(expression, pose_change)
        now = self.times.add("warp", now)
        codes = self._encode.run(list(self._codes), {"expression": expression[None]})
        change = [code[0] - own[0] for code, own in zip(codes, self._codes.values(), strict=True)]
        np.concatenate([*change, pose_change], out=self._attributes[0])
        self.networks["condition"].run()
        now = self.times.add("condition", now)
        self._step(None, None, self._schedule.start)
        denoise = self.networks["denoise"]
        for step in self._schedule.steps:
            now = self.times.add("denoise_step", now)
            self._timestep[0] = step.timestep
            denoise.run()
            now = self.times.add("denoise", now)
            self._step(denoise.outputs["residual"], self._x, step)
        now = self.times.add("denoise_step", now)
        image = self._compose(self._x)
        self.times.add("compose", now)
        self.times.frames += 1
        return image

    def draw_warp(self, expression: Float, pose_change: Float) -> NDArray[np.uint8]:
        """As `draw`, without the network: the warp over the plate, uint8 [size, size, 3] RGB."""
        self.warp(expression, pose_change)
        return self._compose(np.ascontiguousarray(self._condition[:, :FRAME_CHANNELS]))

    def warp(self, expression: Float, pose_change: Float) -> None:
        """Move the mesh, rasterise and pack into the condition tensor."""
        pose = self._portrait.pose.changed_by(pose_change[None])
        vertices, interior = self._mesh.move(expression[None], pose)
        np.copyto(self._warp, self._identity_warp)
        self._interior.fill(0)
        mesh, model, threads = self._mesh, self.model, self._threads
        _core.rasterize(
            vertices[0], mesh.triangles, mesh.attributes, self._warp, self._depth, threads=threads
        )
        _core.rasterize(
            interior[0],
            model.interior_triangles,
            mesh.interior_attributes,
            self._interior,
            self._depth,
            threads=threads,
        )
        self._pack()

    def _pack(self) -> None:
        """Condition tensor from the warp and the interior."""
        _core.pack(
            self._source_256,
            self._plate_256,
            self._warp,
            self._interior,
            self._portrait.features,
            self._condition,
            threads=self._threads,
        )

    def _step(self, residual: Float | None, x_t: Float | None, step: Step) -> None:
        """x_t, in its place, to what the next step starts from."""
        _core.denoise_step(
            residual,
            x_t,
            self._condition,
            self._warp,
            self._x,
            c_x0=step.c_x0,
            c_xt=step.c_xt,
            sigma=step.sigma,
            seed=self._seed,
            step=step.index,
            next=self._next,
            **self._next_format,
            threads=self._threads,
        )

    def _compose(self, x0: Float) -> NDArray[np.uint8]:
        size = self._size
        shape: tuple[int, ...] = (size, size, 4 if self._pixels == "rgba" else 3)
        if self._pixels == "nv12":
            shape = (size * 3 // 2, size)
        image = np.empty(shape, np.uint8)
        _core.compose(
            self._source,
            self._plate,
            self._warp,
            x0,
            self._condition,
            image,
            format=self._pixels,
            background=self._background,
            threads=self._threads,
        )
        return image
