"""The stand-in for CUDA: does it show what a GPU would?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
#include <cstdio>

#include "cuda_runtime.h"

// Turns the numbers of each block around; the last block is not full.
__global__ void turn(int* numbers, int count, bool waits) {
  __shared__ int held[64];
  const int first = static_cast<int>(blockIdx.x) * 64;
  const int i = static_cast<int>(threadIdx.x);
  const int length = count - first < 64 ? count - first : 64;
  if (i < length) held[i] = numbers[first + i];
  if (waits) __syncthreads();
  if (i < length) numbers[first + i] = held[length - 1 - i];
}

__global__ void count_up(int* total) { atomicAdd(total, static_cast<int>(threadIdx.y)); }

int main() {
  for (const bool waits : {true, false}) {
    int numbers[150], wrong = 0;
    for (int i = 0; i < 150; ++i) numbers[i] = i;
    cuda_emulation::launch(turn, 3, 64, 0, nullptr)(numbers, 150, waits);
    for (int i = 0; i < 150; ++i) {
      const int first = i / 64 * 64, length = i < 128 ? 64 : 22;
      wrong += numbers[i] != first + length - 1 - (i - first);
    }
    std::printf("%d ", wrong);
  }
  int total = 0;
  cuda_emulation::launch(count_up, dim3(2, 3, 4), dim3(5, 6), 0, nullptr)(&total);
  std::printf("%d ", total);
  cuda_emulation::launch(count_up, 1, dim3(64, 64), 0, nullptr)(&total);
  const cudaError_t refused = cudaGetLastError();
  std::printf("%d %d\\n", refused == cudaErrorInvalidConfiguration, cudaGetLastError());
}
"""


def test_barriers_blocks_and_refused_launches(tmp_path: Path) -> None:
    """A missing barrier is seen, a thread that left does not hold the others up."""
    if not (compiler := shutil.which("c++")):
        pytest.skip("no C++ compiler")
    source, program = tmp_path / "program.cpp", tmp_path / "program"
    source.write_text(PROGRAM)
    include = ROOT / "csrc" / "emulation"
    subprocess.run(
        [compiler, "-std=c++20", "-O1", f"-I{include}", str(source), "-o", str(program)], check=True
    )
    answer = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    with_barriers, without, total, refused, after = map(int, answer.split())
    assert with_barriers == 0
    assert without > 30
    assert total == 2 * 3 * 4 * 5 * sum(range(6))
    assert (refused, after) == (1, 0)
