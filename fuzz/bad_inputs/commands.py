"""Command lines that cannot be run, and states of the file system."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from fuzz.bad_inputs.kind import Kind, command
from fuzz.seeds import FOLDER

# Options that every command with a picture has, and texts that they do not take.
OPTIONS = (
    *(("steps", text) for text in ("0", "x", "1.5")),
    *(("seed", text) for text in ("-1", "x")),
    *(("size", text) for text in ("100", "513", "x", "")),
    *(("fps", text) for text in ("0", "nan", "x")),
    *(("look-ahead", text) for text in ("50", "x")),
    *(("pose", text) for text in ("3", "nan", "x")),
    *(("gaze", text) for text in ("90,0", "left", "")),
    *(("mood", text) for text in ("angry", "sad,2", "")),
    *(("background", text) for text in ("missing.jpg", "1,2,300", "")),
    *(("marks", text) for text in ("stamp", "")),
    *(("payload", text) for text in ("-1", "x")),
    ("frame", "body"),
    ("pixels", "yuv"),
    ("device", "tpu"),
    ("precision", "float64"),
    ("threads", "0"),
    ("face", "-1"),
    ("bundle", "nowhere"),
)


def commands() -> Iterator[Kind]:
    shutil.copy(FOLDER / "face" / "demo.npz", "me.npz")
    shutil.copy(FOLDER / "speech" / "pcm_s16le-01.wav", "voice.wav")
    Path("notes.txt").write_text("hello")
    Path("table.csv").write_text("photo,audio\n")
    Path("columns.csv").write_text("picture,sound\na,b\n")
    Path("bytes.csv").write_bytes(b"\xff\xfe\0")
    speak = ("speak", "me.npz", "voice.wav")
    for arguments in (
        ("fly",),
        ("--loud",),
        ("speak",),
        ("speak", "me.npz"),
        ("speak", "missing.jpg", "voice.wav"),
        ("speak", "me.npz", "missing.wav"),
        ("speek", "me.npz", "voice.wav"),
        ("speak", "me.npz", "voice.wav", "--fsp", "30"),
        ("speak", "notes.txt", "voice.wav"),
        ("speak", "me.npz", "notes.txt"),
        ("speak", "me.npz", "me.npz", "voice.wav"),
        ("speak", "me.npz", "voice.wav", "--demo"),
        (*speak, "-o", "voice.wav"),
        (*speak, "-o", "me.npz"),
        (*speak, "-o", "speech.avi"),
        (*speak, "-o", "nowhere/speech.mp4"),
        (*speak, "-o", "-", "--json"),
        (*speak, "-o", "notes.txt/speech.mp4"),
        (*speak, "--codec", "mpeg2"),
        (*speak, "--bits", "12"),
        (*speak, "--bits", "x"),
        (*speak, "--timecode", "noon"),
        (*speak, "--transcript", "missing.txt"),
        (*speak, "-o", "-", "--transcript", "notes.txt"),
        ("encode", "missing.jpg", "-o", "face.npz"),
        ("encode", "me.npz", "-o", "me.npz"),
        ("encode", "me.npz", "-o", "face.jpg"),
        ("encode", "me.npz"),
        ("verify", "missing.mp4"),
        ("verify", "notes.txt"),
        ("verify",),
        ("batch", "missing.csv", "-o", "videos"),
        ("batch", "table.csv", "-o", "videos"),
        ("batch", "columns.csv", "-o", "videos"),
        ("batch", "bytes.csv", "-o", "videos"),
        ("batch", "."),
        ("live", "me.npz", "-o", "speech.avi"),
        ("live", "me.npz", "-o", "gopher://example.com/a"),
        ("live", "me.npz", "-o", "a.mp4", "--rate", "1"),
        ("live", "me.npz", "-o", "a.mp4", "--pixels", "bgr"),
        ("live", "me.npz", "-o", "me.npz"),
        ("live", "me.npz", "-o", "-", "--json"),
        ("live", "me.npz"),
        ("serve", "me.npz", "--port", "99999"),
        ("serve", "me.npz", "--port", "x"),
        ("serve", "me.npz", "--sessions", "0"),
        ("serve", "me.npz", "--pixels", "rgba"),
        ("serve", "me.npz", "--attract", "missing.wav"),
        ("serve", "me.npz", "--attract", "voice.wav", "--attract-after", "1"),
        ("serve", "me.npz", "--certificate", "notes.txt", "notes.txt"),
        ("serve", "me.npz", "--host", "no such host"),
        ("bench", "missing.jpg"),
        ("bench", "--json", "missing.jpg"),
        ("doctor", "now"),
        ("completion", "fish"),
    ):
        yield Kind(f"`parlante {' '.join(arguments)}`", command(*arguments))
    for name, text in OPTIONS:
        shown = f"`--{name} {text}`" if text else f"`--{name} ''`"
        yield Kind(f"{shown}", command(*speak, f"--{name}={text}"))
