"""After warm-up the path of a frame allocates no memory but the picture's.

A library that is loaded before the C library's counts calls of malloc and its kin for more than
some bytes, in a process of its own.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static atomic_long limit = -1, calls, largest;

static void note(size_t size) {
  if (limit >= 0 && (long)size >= limit) {
    calls++;
    if ((long)size > largest) largest = (long)size;
  }
}
void watch(long bytes) { calls = 0; largest = 0; limit = bytes; }
long seen(void) { limit = -1; return calls; }
long most(void) { return largest; }
void *malloc(size_t n) { note(n); return __libc_malloc(n); }
void *calloc(size_t k, size_t n) { note(k * n); return __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { note(n); return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { note(n); return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { note(n); return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) {
  note(n);
  return (*p = __libc_memalign(a, n)) ? 0 : ENOMEM;
}
"""

# What follows is run with `count(call, bytes)`: calls of at least so many bytes in ten calls of it.
COUNTER = """
import ctypes, json, sys
import numpy as np
shim = ctypes.CDLL(sys.argv[1])

def count(call, least):
    for _ in range(3):
        call()
    shim.watch(ctypes.c_long(least))
    for _ in range(10):
        call()
    return shim.seen(), shim.most()
"""

OPS = """
from parlante import _core
from tests import visual_samples as samples
rng = np.random.default_rng(0)
size = (64, 64)
mesh = samples.grid_mesh(rng, 64, 9)
pack = samples.pack_sample(rng, size, 32)
step = samples.denoise_sample(rng, size)
step["condition"] = np.ascontiguousarray(step["condition"][:, :48])
compose = samples.compose_sample(rng, (128, 128), size)
mel = _core.LogMel()
sound = rng.standard_normal(640).astype(np.float32) / 10
out, depth = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
condition = np.zeros((1, 160, 16, 16), np.float32)
noised = np.zeros_like(step["x_t"])
coefficients = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1, "seed": 1, "step": 1}
columns = np.zeros((4, 80), np.float32)
pictures = {"rgb": np.zeros((128, 128, 3), np.uint8), "nv12": np.zeros((192, 128), np.uint8)}
ops = {
    "rasterize": lambda t: _core.rasterize(**mesh, out=out, depth=depth, threads=t),
    "pack": lambda t: _core.pack(**pack, condition=condition, threads=t),
    "denoise_step": lambda t: _core.denoise_step(
        **step, out=noised, guidance=2.0, **coefficients, threads=t
    ),
    "compose": lambda t: _core.compose(**compose, out=pictures["rgb"], threads=t),
    "compose, nv12": lambda t: _core.compose(
        **compose, out=pictures["nv12"], format="nv12", threads=t
    ),
    "log_mel": lambda t: mel.process(sound, out=columns),
}
# pybind11 keeps the arguments of a call in vectors of some hundred bytes.
result = {f"{k}, {t} threads": count(lambda: op(t), 1000) for k, op in ops.items() for t in (1, 3)}
result["a copy"] = count(lambda: noised.copy(), 1000)
print(json.dumps(result))
"""

FRAMES = """
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import MotionStream
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from tests import portrait_samples as samples

bundle = Bundle.default()
portrait = samples.avatar().portrait
renderer = FrameRenderer(bundle, samples.model(), portrait, RenderOptions(size=256))
motions = iter(MotionStream(bundle).push(samples.demo_speech()))
print(json.dumps({"frame": count(lambda: renderer.render(next(motions)), 60_000)}))
"""


def counted(script: str, folder: Path) -> dict[str, tuple[int, int]]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc" or compiler is None:
        pytest.skip("needs glibc and a C compiler")
    (folder / "shim.c").write_text(SHIM)
    shim = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, folder / "shim.c"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", COUNTER + script, shim],
        env=os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, tuple[int, int]] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_native_ops_keep_their_scratch_memory(tmp_path: Path) -> None:
    result = counted(OPS, tmp_path)
    assert result.pop("a copy")[0] == 10, "the counter counts nothing"
    assert {op: calls for op, (calls, _) in result.items() if calls} == {}


def test_a_frame_allocates_its_picture_only(tmp_path: Path) -> None:
    calls, largest = counted(FRAMES, tmp_path)["frame"]
    assert largest == 256 * 256 * 3
    assert calls == 10
