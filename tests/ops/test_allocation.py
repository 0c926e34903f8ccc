"""After warm-up the native ops allocate nothing: they keep their scratch memory."""

from pathlib import Path

from tests.support.allocation import counted

OPS = """
from parlante import _core
from benchmarks import visual_samples as samples
rng = np.random.default_rng(0)
size = (64, 64)
mesh = samples.grid_mesh(rng, 64, 9)
pack = samples.pack_sample(rng, size)
step = samples.denoise_sample(rng, size)
compose = samples.compose_sample(rng, (128, 128), size)
mel = _core.LogMel()
sound = rng.standard_normal(640).astype(np.float32) / 10
out, depth = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
condition = np.zeros((1, 144, 16, 16), np.float32)
noised = np.zeros_like(step["x_t"])
coefficients = {"c_x0": 0.5, "c_xt": 0.5, "sigma": 0.1, "seed": 1, "step": 1}
columns = np.zeros((4, 80), np.float32)
lines = rng.uniform(0, 64, (20, 2, 2)).astype(np.float32)
flow = rng.normal(0, 9, (64, 64, 2)).astype(np.float32)
pictures = {"rgb": np.zeros((128, 128, 3), np.uint8), "nv12": np.zeros((192, 128), np.uint8)}
ops = {
    "rasterize": lambda t: _core.rasterize(**mesh, out=out, depth=depth, threads=t),
    "pack": lambda t: _core.pack(**pack, condition=condition, threads=t),
    "denoise_step": lambda t: _core.denoise_step(
        **step, out=noised, **coefficients, threads=t
    ),
    "compose": lambda t: _core.compose(**compose, out=pictures["rgb"], threads=t),
    "compose, nv12": lambda t: _core.compose(
        **compose, out=pictures["nv12"], format="nv12", threads=t
    ),
    "soften": lambda t: _core.soften(pictures["rgb"], lines, flow),
    "log_mel": lambda t: mel.process(sound, out=columns),
}
# pybind11 keeps the arguments of a call in vectors of some hundred bytes.
result = {f"{k}, {t} threads": count(lambda: op(t), 1000) for k, op in ops.items() for t in (1, 3)}
result["a copy"] = count(lambda: noised.copy(), 1000)
print(json.dumps(result))
"""


def test_native_ops_keep_their_scratch_memory(tmp_path: Path) -> None:
    result = counted(OPS, tmp_path)
    assert result.pop("a copy")[0] == 10, "the counter counts nothing"
    assert {op: calls for op, (calls, _) in result.items() if calls} == {}
