"""Uploads are decoded in a process of their own, which may do little else, and may die."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile

from parlante.app.decoding import CPU_S, LONGEST_S, MEMORY, Decoder, _understood
from parlante.errors import AudioError
from parlante.session.live import MAX_QUEUED_S
from parlante.speech.audio import read_audio
from tests.support.portrait_samples import VOICE

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


@pytest.fixture
def decoder():  # type: ignore[no-untyped-def]
    made = Decoder(time_s=20)
    made.open()
    yield made
    made.close()


def wave(seconds: float, rate: int = 48_000) -> bytes:
    tone = 0.3 * np.sin(np.arange(int(seconds * rate)) / 9)
    soundfile.write(file := io.BytesIO(), tone, rate, format="WAV")
    return file.getvalue()


def test_it_hears_what_the_server_would(decoder: Decoder, tmp_path: Path) -> None:
    for body in (VOICE.read_bytes(), wave(5)):
        (tmp_path / "sound").write_bytes(body)
        samples, rate = decoder.decode(body)
        expected, expected_rate = read_audio(tmp_path / "sound", LONGEST_S)
        assert rate == expected_rate and np.array_equal(samples, expected)
    assert LONGEST_S == MAX_QUEUED_S  # more could not be queued


def test_a_rate_that_no_speaker_has(decoder: Decoder) -> None:
    """It would cost the server memory; the sound is the same."""
    samples, rate = decoder.decode(wave(1, 192_000))
    assert rate == 48_000 and len(samples) == rate
    again = 0.3 * np.sin(4 * np.arange(rate) / 9)
    np.testing.assert_allclose(samples[100:-100], again[100:-100], atol=1e-3)


def test_each_file_has_a_new_process_which_was_ready(decoder: Decoder) -> None:
    seen = set()
    for _ in range(3):
        assert decoder._ready is not None and decoder._ready.poll() is None
        seen.add(decoder._ready.pid)
        decoder.decode(wave(0.1))
    assert len(seen) == 3
    last = decoder._ready
    decoder.close()
    assert last is not None and last.poll() is not None and decoder._ready is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no sound at all", "cannot be opened"),
        (b"", "is empty"),
        (wave(5)[:-10_000], "cut short"),
        (wave(LONGEST_S + 1, 4_000), "lasts longer than 120 s"),
    ],
)
def test_what_cannot_be_used(decoder: Decoder, body: bytes, says: str) -> None:
    """The messages are those of `read_audio`, and tell nothing of where the file lay."""
    with pytest.raises(AudioError, match=says) as caught:
        decoder.decode(body)
    assert "/" not in str(caught.value)


@posix
@pytest.mark.parametrize("number", ["SIGKILL", "SIGSEGV", "SIGSTOP"])
def test_a_process_that_dies_or_hangs(number: str) -> None:
    """It is this file's end and nobody else's."""
    decoder = Decoder(time_s=2 if number == "SIGSTOP" else 20)
    decoder.open()
    try:
        assert decoder._ready is not None
        os.kill(decoder._ready.pid, getattr(signal, number))
        with pytest.raises(AudioError, match="too much time or memory"):
            decoder.decode(wave(0.5))
        decoder._time_s = 20
        assert len(decoder.decode(wave(0.5))[0]) == 24_000
    finally:
        decoder.close()


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"[]", b"5", b"{}", b"\xff", b"[" * 5_000, b'{"rate": 16000}\n'),
        *(b'{"rate": 16000, "bytes": 8}\nabcd', b'{"rate": "x", "bytes": 4}\nabcd'),
        *(b'{"rate": 1, "bytes": 4}\nabcd', b'{"rate": 16000, "bytes": 3}\nabc'),
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    with pytest.raises(AudioError):
        _understood(answer)


def confined(program: str) -> subprocess.CompletedProcess[str]:
    head = "from parlante.app.decoding import confine\nconfine()\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@posix
def test_it_writes_no_file(tmp_path: Path) -> None:
    done = confined(f"with open({str(tmp_path / 'x')!r}, 'w') as file:\n    file.write('mine')")
    assert "File too large" in done.stderr and not (tmp_path / "x").read_bytes()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no such limit")
def test_it_takes_so_much_memory_and_time() -> None:
    done = confined(f"import numpy; numpy.ones({MEMORY}, 'u1')")
    assert "MemoryError" in done.stderr
    limits = confined("print(open('/proc/self/limits').read())").stdout
    assert str(CPU_S) in limits.partition("Max cpu time")[2].splitlines()[0]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or sys.version_info < (3, 12), reason="needs os.unshare"
)
def test_it_has_no_network() -> None:
    done = confined(
        """
        import socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname())
        """
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("the kernel gives no name spaces here")
    assert "unreachable" in done.stderr or "Cannot assign" in done.stderr


@posix
def test_the_token_stays_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANTE_TOKEN", "secret")
    decoder = Decoder()
    decoder.open()
    try:
        assert decoder._ready is not None
        environment = Path(f"/proc/{decoder._ready.pid}/environ")
        if not environment.exists():
            pytest.skip("no /proc on this machine")
        assert b"PARLANTE_TOKEN" not in environment.read_bytes()
    finally:
        decoder.close()
