"""The command line: what it writes, prints and returns."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import soundfile

import parlante
from parlante.app import bench, cli, doctor, spool
from parlante.app.signals import ENDINGS
from parlante.app.spool import spooled_sound
from parlante.errors import AudioError
from parlante.media.encoder import Encoder
from parlante.options import RenderOptions
from parlante.portrait.portrait import read_portrait
from parlante.runtime import assets
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import Bundle
from tests.support.portrait_samples import PHOTO, VOICE, avatar, demo_speech

QUICK = ("--size", "128", "--steps", "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests leave the user's cache alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.6 s of the demo voice: 15 frames."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    soundfile.write(path, demo_speech()[:9600], 16_000)
    return path


@pytest.fixture
def short_demo(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo has 0.6 s of its voice only."""
    package, asset = tmp_path_factory.mktemp("package"), assets.asset
    (package / "demo").mkdir()
    (package / "demo" / "portrait.jpg").write_bytes(PHOTO.read_bytes())
    soundfile.write(package / "demo" / "speech.flac", demo_speech()[:9600], 16_000)
    monkeypatch.setattr(
        assets, "asset", lambda name: package / name if name == "demo" else asset(name)
    )


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 1
        return sum(1 for _ in container.decode(video=0))


def test_live_speaks_what_comes_in(tmp_path: Path) -> None:
    sound = np.round(demo_speech()[:9600] * 32767).astype("<i2")
    out = tmp_path / "live.mp4"
    made = subprocess.run(
        [sys.executable, "-m", "parlante.app.cli", "live", str(PHOTO), "-o", str(out), *QUICK],
        input=sound.tobytes(),
        capture_output=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    assert 15 + 4 <= frames_of(out) < 60  # the look-ahead, and what went by before the sound came
    with av.open(str(out)) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert np.abs(heard).max() > 0.5 * np.abs(sound).max() / 32768


def test_live_keeps_the_sound_as_it_came(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(1, 8000, 44_100 // 2)
    sound = np.where(np.arange(len(drawn)) % 2, drawn, -drawn).astype("<i2")
    out = tmp_path / "live.mkv"  # FLAC
    given = ["live", str(PHOTO), "-o", str(out), "--rate", "44100", "--json", *QUICK]
    made = subprocess.run(
        [sys.executable, "-m", "parlante.app.cli", *given],
        input=sound.tobytes(),
        capture_output=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told.pop("repeated") >= 0 and told.pop("seconds") == told["frames"] / 25
    assert told == {"output": str(out), "frames": frames_of(out)}
    with av.open(str(out)) as container:
        (stream,) = container.streams.audio
        assert (stream.rate, stream.channels) == (44_100, 1)
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    loud = np.flatnonzero(heard)
    assert np.array_equal(heard[loud[0] : loud[-1] + 1], sound)


def test_numpy_and_opencv_have_one_thread() -> None:
    script = """
import parlante.app.cli
import cv2, numpy, threadpoolctl
print(cv2.getNumThreads(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
"""
    environment = {name: value for name, value in os.environ.items() if "NUM" not in name}
    command = [sys.executable, "-c", script]
    made = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert set(made.stdout.split()) == {"1"}


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parlante.app.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"parlante {parlante.__version__}\n"


def test_as_a_process() -> None:
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"parlante {parlante.__version__}\n")
    done = process("speak", "nothing.jpg", "nothing.wav", "-o", "out.mp4")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("parlante: ImageError: nothing.jpg does not exist")
    assert "Traceback" not in done.stderr


def test_alone_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    said = capsys.readouterr().err
    assert all(f"\n    {name} " in said for name in ("speak", "live", "serve", "encode", "bench"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sing"], ": error: there is no command 'sing'; give one of speak, batch"),
        (["speek"], ": error: there is no command 'speek' (did you mean speak?); give one of"),
        (["speak", "--size", "big"], " speak: error: --size 'big': give a whole number; see"),
        (["speak", "--fps", "a\nb\x1b"], " speak: error: --fps 'a\\nb\\x1b': give a number; see"),
        (["speak", "--fsp=3"], " speak: error: unknown arguments: --fsp=3 (did you mean --fps?)"),
        (["encode", "a"], " encode: error: the following arguments are required: -o/--output; see"),
        (["doctor", ""], " doctor: error: unknown arguments: ''; see parlante doctor --help"),
        (["completion", "bsh"], "shell: there is no 'bsh' (did you mean bash?); give one of bash,"),
    ],
)
def test_usage_errors(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert told.err.startswith("parlante") and told.err.endswith("--help\n")
    assert says in told.err


def test_speak(tmp_path: Path, wav: Path) -> None:
    out = tmp_path / "out.mp4"
    assert cli.main(["speak", str(PHOTO), str(wav), "-o", str(out), *QUICK]) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert frames_of(out) == 15


def test_speak_with_timecode_and_captions(tmp_path: Path) -> None:
    out, said = tmp_path / "out.mov", tmp_path / "said.txt"
    said.write_text("\ufeffGood morning. Nothing else.", "utf-8")
    given = ["--timecode", "10:00:00:00", "--transcript", str(said), *QUICK]
    assert cli.main(["speak", str(PHOTO), str(VOICE), "-o", str(out), *given]) == 0
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["out.mov", "out.srt", "out.vtt", "said.txt"]
    with av.open(str(out)) as file:
        assert [s.metadata.get("timecode") for s in file.streams.data] == ["10:00:00:00"]
    captions = (tmp_path / "out.srt").read_text("utf-8")
    assert captions.startswith("1\n00:00:0") and "\nGood morning.\n" in captions


def spoken(sound: bytes, out: Path, temporary: Path) -> subprocess.CompletedProcess[bytes]:
    """What `parlante speak PHOTO -` makes of its standard input."""
    given = ["speak", str(PHOTO), "-", "-o", str(out), "--seed", "5", *QUICK]
    made = subprocess.run(
        [sys.executable, "-m", "parlante.app.cli", *given],
        input=sound,
        capture_output=True,
        timeout=120,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert list(temporary.glob("parlante-*")) == []
    return made


def test_speak_what_comes_in(tmp_path: Path, wav: Path) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    out, again = tmp_path / "out.mkv", tmp_path / "again.mkv"
    made = spoken(wav.read_bytes(), out, temporary)
    assert made.returncode == 0, made.stderr
    assert cli.main(["speak", str(PHOTO), str(wav), "-o", str(again), "--seed", "5", *QUICK]) == 0
    with av.open(str(out)) as one, av.open(str(again)) as other:
        for a, b in zip(one.decode(video=0), other.decode(video=0), strict=True):
            np.testing.assert_array_equal(a.to_ndarray(), b.to_ndarray())
    nothing = tmp_path / "nothing.mkv"
    for sound, says in ((b"", "standard input is empty"), (b"words", "standard-input cannot be")):
        made = spoken(sound, nothing, temporary)
        assert made.returncode == 1 and not nothing.exists()
        assert made.stderr.startswith(b"parlante: AudioError: ") and made.stderr.count(b"\n") == 1
        assert says in made.stderr.decode()


def test_standard_input_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    kept = os.dup(0)
    try:
        os.dup2(reading, 0)
        os.write(writing, b"four")
        os.close(writing)
        monkeypatch.setattr(spool, "MOST_BYTES", 3)
        with pytest.raises(AudioError, match="standard input is more than"), spooled_sound():
            pass
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)


def test_what_came_of_it_as_json(
    tmp_path: Path, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, face = tmp_path / "out.mp4", tmp_path / "face.npz"
    given = ["-o", str(out), "--fps", "29.97", "--seed", "5", "--json", *QUICK]
    assert cli.main(["speak", str(PHOTO), str(wav), *given]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("frames") == frames_of(out)
    assert told == {
        "output": str(out),
        "captions": [],
        "fps": "30000/1001",
        "size": [128, 128],
        "seed": 5,
    }
    assert cli.main(["encode", str(PHOTO), "-o", str(face), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(face)}
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ["speak", "none.jpg", "none.wav"],
        ["encode", "none.jpg", "-o", "face.npz"],
        ["verify", "none.jpg"],
        ["bench", "none.jpg"],
        ["live", "none.jpg", "-o", "none.mp4"],
    ],
)
def test_errors_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*arguments, "--json"]) == 1
    told = capsys.readouterr()
    error = json.loads(told.out)
    assert "none.jpg" in error["error"]
    assert told.err == f"parlante: {error['kind']}: {error['error']}\n"


def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    """By bash itself: what it offers after ``parlante sp`` and ``parlante speak --transc``."""
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    asking = """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$(complete -p parlante | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
    for words, wanted in (
        (["sp"], ["speak"]),
        (["speak", "--transc"], ["--transcript"]),
        (["speak", "--codec", "h"], ["h264", "hevc"]),
        (["live", "--mood", "s"], ["serious", "sad", "surprised"]),
        (["batch", "--pixels", "rg"], ["rgb", "rgba"]),
        (["encode", "--device", "c"], ["cpu", "cuda"]),
        (["bench", "--precision", ""], ["float32", "float16", "int8"]),
        (["speak", "--look-ahead", ""], ["40", "80", "160"]),
    ):
        made = subprocess.run(
            ["bash", "-c", script + asking, "bash", "parlante", *words],
            capture_output=True,
            text=True,
        )
        assert sorted(made.stdout.split()) == sorted(wanted), made.stderr


def test_speak_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_demo: None) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["speak", "--demo", "--fps", "30", *QUICK]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["speech.mp4"]
    assert frames_of(tmp_path / "speech.mp4") == 18


def test_speak_passes_everything_on(
    tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    class Recorder:
        def __init__(self, photos: list[Path], **options: Any) -> None:
            given.update(photos=photos, **options)

        def speak(self, audio: Path, **options: Any) -> Any:
            given.update(audio=audio, **options)
            raise AudioError("enough")

    monkeypatch.setattr("parlante.avatar.Avatar", Recorder)
    options = "--size 300 --fps 29.97 --face 1 --device auto --precision int8 --threads 3 "
    options += f"--bundle {networks_folder()}"
    assert cli.main(["speak", "a.jpg", "b.jpg", str(wav), *options.split()]) == 1
    assert given.pop("bundle").key == Bundle.default().key
    assert given == {
        "photos": [Path("a.jpg"), Path("b.jpg")],
        "audio": wav,
        "options": RenderOptions(size=300, fps=29.97),
        "face": 1,
        "device": "auto",
        "precision": "int8",
        "threads": 3,
    }


def test_encode(tmp_path: Path) -> None:
    out = tmp_path / "face.npz"
    assert cli.main(["encode", str(PHOTO), "-o", str(out)]) == 0
    assert list(tmp_path.iterdir()) == [out]
    portrait = read_portrait(out)
    assert portrait.key == avatar().portrait.key
    np.testing.assert_array_equal(portrait.image, avatar().portrait.image)


@pytest.mark.parametrize(
    ("arguments", "name", "says"),
    [
        (["speak", "none.jpg", "{wav}"], "ImageError", "none.jpg does not exist"),
        (["speak", "{photo}", "none.wav"], "AudioError", "none.wav does not exist"),
        (["speak", "{photo}", "{photo}"], "AudioError", "portrait.jpg"),
        (["speak", "{wav}", "{wav}"], "ImageError", "voice.wav"),
        (["speak", "{photo}", "{wav}", "-o", "none/out.mp4"], "OutputError", "none"),
        (["speak", "{photo}", "{wav}", "-o", "out.gif"], "OutputError", ".gif"),
        (["speak", "{photo}", "{wav}", "--size", "255"], "ParlanteError", "size=255"),
        (["speak", "{photo}", "{wav}", "--steps", "0"], "ParlanteError", "steps=0"),
        (["speak", "{photo}", "{wav}", "--fps", "nan"], "ParlanteError", "fps=nan"),
        (["speak", "{photo}", "{wav}", "--fps", "0"], "ParlanteError", "fps=0"),
        (["speak", "{photo}", "{wav}", "--pose", "3"], "ParlanteError", "pose=3"),
        (["speak", "{photo}", "{wav}", "--seed", "-1"], "ParlanteError", "seed=-1"),
        (["speak", "{photo}", "{wav}", "--face", "-1"], "ImageError", "face=-1"),
        (["speak", "{photo}", "{wav}", "--face", "5"], "FaceNotFoundError", "face=5"),
        (["speak", "{photo}", "{wav}", "--device", "tpu"], "DeviceError", "'tpu'"),
        (["speak", "{photo}", "{wav}", "--threads", "0"], "ParlanteError", "threads=0"),
        (["speak", "{photo}"], "ParlanteError", "a photo and a speech file"),
        (["speak"], "ParlanteError", "a photo and a speech file"),
        (["speak", "--demo", "{photo}"], "ParlanteError", "--demo"),
        (["speak", "{photo}", "{wav}", "--json", "-o", "-"], "ParlanteError", "--json"),
        (["speak", "{photo}", "{wav}", "--timecode", "noon"], "OutputError", "'noon'"),
        (["speak", "{photo}", "{wav}", "--transcript", "none.txt"], "ParlanteError", "none.txt"),
        (["speak", "{photo}", "{wav}", "--transcript", "{photo}"], "ParlanteError", "UTF-8"),
        (
            ["speak", "{photo}", "{wav}", "--transcript", "none.txt", "-o", "-"],
            "ParlanteError",
            "beside a video file",
        ),
        (["encode", "none.jpg", "-o", "face.npz"], "ImageError", "none.jpg"),
        (["encode", "{photo}", "-o", "none/face.npz"], "OutputError", "none"),
        (["bench", "--size", "7"], "ParlanteError", "size=7"),
        (["live", "{photo}", "--json", "-o", "-"], "ParlanteError", "--json"),
        (["live", "{photo}", "-o", "camera:/dev/nothing", *QUICK], "OutputError", "virtual camera"),
    ],
)
def test_bad_input(
    arguments: list[str],
    name: str,
    says: str,
    tmp_path: Path,
    wav: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([a.format(photo=PHOTO, wav=wav) for a in arguments]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    message = [line for line in shown.err.splitlines() if line.startswith("parlante: ")]
    assert len(message) == 1
    assert message[0].startswith(f"parlante: {name}: ")
    assert says in message[0]
    assert "Traceback" not in shown.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "code"),
    [("--help", 141), ("completion zsh", 141), ("doctor", 141), ("speak {photo} {wav} -o -", 1)],
)
def test_it_ends_quietly_where_nobody_reads(command: str, code: int, wav: Path) -> None:
    given = [*command.format(photo=PHOTO, wav=wav).split(), *QUICK * ("speak" in command)]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "parlante.app.cli", *given],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == code
    if code == 1:
        assert "the program that read it is gone" in done.stderr
        assert done.stderr.count("\n") == 1
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDINGS])
def test_a_signal_ends_it_though_a_library_loses_it(
    number: int, tmp_path: Path, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Encoder.write

    def losing(self: Encoder, *given: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        encode(self, *given)

    monkeypatch.setattr(Encoder, "write", losing)
    out = tmp_path / "out.mp4"
    before = signal.getsignal(number)
    assert cli.main(["speak", str(PHOTO), str(wav), "-o", str(out), *QUICK]) == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before
    monkeypatch.undo()
    assert cli.main(["speak", str(PHOTO), str(wav), "-o", str(out), *QUICK]) == 0


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    assert parlante.__version__ in capsys.readouterr().out


def test_doctor_finds_a_missing_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "networks_folder", lambda: tmp_path / "none")
    assert cli.main(["doctor"]) == 1
    assert "none" in capsys.readouterr().out


def test_doctor_finds_missing_codecs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_has_codec", lambda name, mode: False)
    assert cli.main(["doctor"]) == 1
    assert "not ready" in capsys.readouterr().out


def test_networks_from_elsewhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    short_demo: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = shutil.copytree(networks_folder(), tmp_path / "bundle")
    assert cli.main(["bench", "--bundle", str(copied), *QUICK]) == 0
    (copied / "denoise.onnx").write_bytes(b"damaged")
    assert cli.main(["bench", "--bundle", str(copied), *QUICK]) == 1
    assert "denoise" in capsys.readouterr().err
    assert cli.main(["bench", "--bundle", str(tmp_path / "none"), *QUICK]) == 1
    assert "none" in capsys.readouterr().err


def test_bench(short_demo: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--json", *QUICK]) == 0
    result = json.loads(capsys.readouterr().out)
    wanted = "fps p50_ms p95_ms p99_ms first_frame_ms rss_mb real_time_factor stages"
    assert set(wanted.split()) <= set(result)
    assert (result["frames"], result["size"], result["steps"]) == (15, 128, 1)
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]
    # Both are means of the same times, rounded to 4 and 2 digits.
    assert result["real_time_factor"] == pytest.approx(25 / result["fps"], rel=0.01)
    assert {"warp", "condition", "denoise", "compose", "video_encoder"} <= set(result["stages"])
    assert 20 < result["rss_mb"] < 20_000
    printed = bench.table(result)
    assert f"{result['fps']:.1f} fps" in printed
    for stage in result["stages"]:
        assert stage in printed


def test_bench_of_a_photo_as_it_is(
    tmp_path: Path, short_demo: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tall = cv2.imread(str(PHOTO))
    tall = cv2.copyMakeBorder(tall, 0, len(tall) // 2, 0, 0, cv2.BORDER_REPLICATE)
    cv2.imwrite(str(photo := tmp_path / "tall.png"), tall)
    given = ["--frame", "photo", "--size", "128", "--steps", "1", "--json"]
    assert cli.main(["bench", str(photo), *given]) == 0
    width, height = json.loads(capsys.readouterr().out)["picture"]
    assert width == 128 and height == pytest.approx(128 * len(tall) / tall.shape[1], abs=2)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_while_a_library_is_loaded(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> int:
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            raise ImportError("initialization failed") from error
        return 0

    monkeypatch.setitem(cli.RUNS, "doctor", run)
    assert cli.main(["doctor"]) == 128 + number


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["doctor", "doctor --json", "completion bash"])
def test_a_full_disk_where_it_prints(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "parlante.app.cli", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "parlante: No space left on device (where this command prints)\n"
