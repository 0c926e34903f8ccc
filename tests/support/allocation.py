"""Counts what a process allocates.

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


def counted(script: str, folder: Path) -> dict[str, tuple[int, int]]:
    """What `script` prints last, JSON of the results of its `count`s; `folder` is for the shim."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc" or compiler is None:
        pytest.skip("needs glibc and a C compiler")
    (folder / "shim.c").write_text(SHIM)
    shim = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, folder / "shim.c"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", COUNTER + script, shim],
        env=os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, tuple[int, int]] = json.loads(done.stdout.splitlines()[-1])
    return result
