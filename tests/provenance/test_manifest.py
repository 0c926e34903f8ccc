"""Manifests, as the C2PA's own library reads them."""

from __future__ import annotations

import json
import logging
import shutil
import stat
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from parlante.app import cli
from parlante.errors import OutputError, ParlanteError
from parlante.provenance import Credentials, Provenance, verify
from parlante.provenance.manifest import _self_signed
from parlante.provenance.verifying import UNTRUSTED
from tests.support.portrait_samples import PHOTO, VOICE, avatar, demo_speech

OPTIONS: dict[str, Any] = {"size": 128, "steps": 1, "seed": 1}


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings" / "parlante"


def saved(path: Path, credentials: Credentials | None = None, **options: Any) -> Path:
    chosen = {**OPTIONS, **options}
    speech = avatar().speak(demo_speech()[:8000], sample_rate=16_000, **chosen)
    return speech.save(path, credentials=credentials)


def content(path: Path) -> tuple[list[Any], Any, list[int]]:
    """Pictures, samples and the times of both."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        container.seek(0)
        sound = list(container.decode(audio=0))
    times = [f.pts for f in frames] + [f.pts for f in sound]
    return (
        [frame.to_ndarray() for frame in frames],
        np.concatenate([f.to_ndarray() for f in sound], 1),
        times,
    )


@pytest.mark.parametrize("kind", [".mp4", ".mov"])
def test_a_saved_video_says_that_it_was_made(kind: str, tmp_path: Path) -> None:
    found = verify(saved(tmp_path / f"made{kind}"))
    assert found.found and found.intact and found.generated
    assert not found.trusted and found.wrong == (UNTRUSTED,)
    assert found.signer == "parlante, self-signed"
    assert found.product.startswith("parlante ")
    assert found.face == avatar().portrait.key
    # Pictures, sound and their times are as without it.
    plain = saved(tmp_path / f"plain{kind}", marks="watermark")
    for a, b in zip(content(tmp_path / f"made{kind}"), content(plain), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert {path.name for path in tmp_path.iterdir()} == {f"made{kind}", plain.name, "settings"}


def test_a_change_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "made.mp4")
    data = bytearray(path.read_bytes())
    data[-200] ^= 1  # in the pictures or the sound
    path.write_bytes(data)
    found = verify(path)
    assert found.found and found.generated and not found.intact
    assert any("mismatch" in code for code in found.wrong)
    # Wrapped anew it says nothing any more.
    with av.open(str(path)) as source, av.open(str(tmp_path / "again.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    again = verify(tmp_path / "again.mp4")
    assert not (again.found or again.intact or again.generated)


def test_marks_are_left_out_in_so_many_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: Path
) -> None:
    with caplog.at_level(logging.WARNING, "parlante"):
        path = saved(tmp_path / "plain.mp4", marks=())
    assert "plain.mp4 carries no manifest" in caplog.text
    assert "no watermark" in caplog.text
    assert verify(path) == Provenance() and not settings.exists()
    with pytest.raises(ParlanteError, match="give some of manifest, watermark, or none"):
        saved(tmp_path / "other.mp4", marks=("stamp",))
    with caplog.at_level(logging.INFO, "parlante"):
        saved(tmp_path / "made.mkv")
    assert "made.mkv can hold no manifest" in caplog.text


def test_this_machines_certificate_is_made_once(settings: Path) -> None:
    one = Credentials.local()
    assert Credentials.local() == one
    (path,) = settings.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shutil.rmtree(settings)
    assert Credentials.local() != one
    shutil.rmtree(settings)
    settings.write_bytes(b"a file")
    with pytest.raises(ParlanteError, match="XDG_CONFIG_HOME"):
        Credentials.local()


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    made, other = _self_signed(), _self_signed()
    (tmp_path / "chain.pem").write_bytes(made.chain)
    (tmp_path / "key.pem").write_bytes(made.key)
    own = Credentials.read(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert own == made
    assert verify(saved(tmp_path / "made.mp4", credentials=own)).intact
    (tmp_path / "bad.pem").write_bytes(b"no key")
    for key in ("bad.pem", "none.pem"):
        with pytest.raises(ParlanteError, match="give PEM files"):
            Credentials.read(tmp_path / "chain.pem", tmp_path / key)
    # A key that is another's signs nothing that holds.
    with pytest.raises(OutputError, match="cannot be signed"):
        saved(tmp_path / "other.mp4", credentials=Credentials(made.chain, other.key))
    assert not (tmp_path / "other.mp4").exists()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "made.mp4")
    assert cli.main(["verify", str(path)]) == 0
    assert "made by a trained model, with parlante" in capsys.readouterr().out
    assert cli.main(["verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["face"] == avatar().portrait.key
    assert cli.main(["verify", str(PHOTO)]) == 1
    assert "no manifest" in capsys.readouterr().out
    for wrong in (VOICE.parent, tmp_path / "none.mp4", tmp_path / "settings"):
        assert cli.main(["verify", str(wrong)]) == 1
        assert "cannot be verified" in capsys.readouterr().err
