"""The CPU ops as other compilers see them give the bits of this build's.

Their sources are compiled once more, into a program: for a 64-bit ARM, run by an emulator, and
without anything that not every C++ compiler offers.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.visual_samples import compose_sample, denoise_sample, grid_mesh, pack_sample
from parlante import _core

CSRC = Path(__file__).parents[2] / "csrc"
COMPILER = shutil.which("c++")
ARM_COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64-static")
FLAGS = "-std=c++20 -O3 -pthread -ffp-contract=off -fno-math-errno -fno-trapping-math"
SIDE, FRAME = (64, 64), (100, 100)  # as in processors.cpp


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulated processor is this one")
@pytest.mark.skipif(not ARM_COMPILER, reason="no aarch64-linux-gnu-g++")
@pytest.mark.skipif(not EMULATOR, reason="no qemu-aarch64-static")
def test_arm_gives_the_same_bits(tmp_path: Path) -> None:
    assert ARM_COMPILER and EMULATOR
    program = compiled([ARM_COMPILER, "-static"], tmp_path)
    check([EMULATOR, str(program)], tmp_path)


@pytest.mark.skipif(not COMPILER, reason="no c++")
def test_portable_sources_give_the_same_bits(tmp_path: Path) -> None:
    """No levels of instructions, no vector types, no hints to the compiler."""
    assert COMPILER
    program = compiled([COMPILER, "-DPARLANTE_PORTABLE"], tmp_path)
    check([str(program)], tmp_path)


def compiled(compiler: list[str], folder: Path) -> Path:
    sources = [*CSRC.glob("ops/*.cpp"), *CSRC.glob("support/*.cpp")]
    sources.append(Path(__file__).with_name("processors.cpp"))
    program = folder / "program"
    subprocess.run([*compiler, *FLAGS.split(), f"-I{CSRC}", "-o", program, *sources], check=True)
    return program


def check(program: list[str], folder: Path) -> None:
    """Runs it on the arguments of every op, and the ops of `_core` on the same."""
    given, made = folder / "given", folder / "made"
    rng = np.random.default_rng(0)
    mesh, packs = grid_mesh(rng, SIDE[0], 9), pack_sample(rng, SIDE)
    step, frame = denoise_sample(rng, SIDE), compose_sample(rng, FRAME, SIDE, SIDE)
    sound = (0.3 * rng.standard_normal(16_000)).clip(-1, 1).astype(np.float32)
    packs["flow"][0, :4, :2] = np.nan
    arrays = [mesh[k] for k in ("vertices", "triangles", "attributes")]
    arrays += [packs[k] for k in ("source", "reference", "flow", "inside", "cover")]
    arrays += [step["residual"], step["x_t"]]
    arrays += [frame[k] for k in ("source", "plate", "warp", "places", "bands")] + [sound]
    given.write_bytes(b"".join(array.tobytes() for array in arrays))
    subprocess.run([*program, given, made], check=True)

    drawn, depth = np.zeros((*SIDE, 3), np.float32), np.zeros(SIDE, np.float32)
    _core.rasterize(**mesh, out=drawn, depth=depth)  # type: ignore[arg-type]
    condition = np.zeros((1, 144, 16, 16), np.float32)
    _core.pack(**packs, condition=condition)  # type: ignore[arg-type]
    noised = np.zeros_like(step["x_t"], np.float32)
    halves, octets = np.zeros(noised.shape, np.float16), np.zeros(noised.shape, np.uint8)
    for made_next in (halves, octets):
        _core.denoise_step(
            step["residual"],  # type: ignore[arg-type]
            step["x_t"],  # type: ignore[arg-type]
            condition,
            packs["flow"],  # type: ignore[arg-type]
            noised,
            c_x0=0.4,
            c_xt=0.7,
            sigma=0.3,
            seed=0xFEDC_BA98_7654_3210,
            step=3,
            next=made_next,
            scale=0.02 if made_next is octets else 1,
            zero_point=117 if made_next is octets else 0,
        )
    picture = np.zeros((*FRAME, 3), np.uint8)
    _core.compose(**(frame | {"x0": noised, "condition": condition}), out=picture)  # type: ignore[arg-type]
    wanted = {
        "rasterize": drawn,
        "pack": condition,
        "denoise_step": noised,
        "halves": halves,
        "bytes": octets,
        "compose": picture,
        "log_mel": _core.log_mel(sound),
    }
    data = made.read_bytes()
    assert len(data) == sum(array.nbytes for array in wanted.values())
    for name, array in wanted.items():
        got = np.frombuffer(data[: array.nbytes], array.dtype).reshape(array.shape)
        data = data[array.nbytes :]
        np.testing.assert_array_equal(got, array, err_msg=name)
