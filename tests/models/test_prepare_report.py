"""The last pass of the preparation, on fakes of what the passes before it leave."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data import prepare
from models.data.dataset import Clip
from parlante.contract import MEL_BANDS, MEL_PER_FRAME

FRAMES = 100


def prepared(folder: Path, sources: dict[str, bool]) -> None:
    """Four clips a source, of four people, with sound in step with the lips or without any."""
    random = np.random.default_rng(0)
    (folder / "out" / "track").mkdir(parents=True)
    (folder / "out" / "fit").mkdir()
    rows = ["file,split,source,person,audio"]
    for source, sounds in sources.items():
        for number in range(4):
            name = f"{source}_{number}"
            rows.append(f"clips/{name}.mp4,train,{source},{source}{number},yes")
            loud = np.convolve(random.random(FRAMES + 20), np.ones(3) / 3, "same")
            mel = np.repeat(loud[10:-10], MEL_PER_FRAME)[:, None] * random.random(MEL_BANDS)
            keep = np.ones(FRAMES, bool)
            keep[:3] = False
            np.savez(
                folder / "out" / "fit" / f"{name}.npz",
                mel=mel if sounds else np.zeros((0, MEL_BANDS)),
                keep=keep,
                dropped=json.dumps({"no face": 3, "profile": 0}),
                aperture=loud[10:-10],
            )
            (folder / "out" / "track" / f"{name}.npz").touch()  # these passes have run
    (folder / "manifest.csv").write_text("\n".join(rows))


def said_of(clips: list[Clip], _: Path, out: Path) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """In the place of what Whisper says: the log-mel, a mean over each frame."""
    for clip in clips:
        with np.load(out / "fit" / f"{clip.name}.npz") as arrays:
            if len(arrays["mel"]):
                frames = arrays["mel"].reshape(FRAMES, MEL_PER_FRAME, MEL_BANDS)
                yield clip.name, (40 * frames.mean(1)).astype(np.float16)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "said_of", said_of)
    arguments = ["--data", str(folder), "--out", str(folder / "out"), "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", ["prepare", *arguments])
    prepare.main()


def test_a_source_with_an_offset_and_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path, {"heard": True, "mute": False})
    run(tmp_path, monkeypatch)
    head, heard, mute = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["source", "clips", "frames", "kept"]
    assert heard.split()[:8] == ["heard", "4", "400", "388", "4", "4", "0", "+0"]
    assert mute.split()[:7] == ["mute", "4", "400", "388", "0", "0", "0"]
    assert mute.endswith("{'no face': 12}")
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (written["heard"]["offset"], written["mute"]["offset"]) == (0.0, None)
    assert heard.split()[8] == f"{written['heard']['correlation']:.2f}"


def test_no_sound_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path, {"mute": False})
    run(tmp_path, monkeypatch)
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "mute"
