"""Sound files: every container against the signal that went in, and every way to be wrong."""

import math
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from parlante.contract import SAMPLE_RATE
from parlante.errors import AudioError
from parlante.speech.audio import decode_audio, expected_samples
from tests.support.media_samples import chirp, write_audio
from tests.support.sound_checks import assert_same_signal, joined

# name, container, codec
FORMATS = [
    ("speech.wav", "wav", "pcm_s16le"),
    ("speech24.wav", "wav", "pcm_s24le"),
    ("speech32f.wav", "wav", "pcm_f32le"),
    ("speech8.wav", "wav", "pcm_u8"),
    ("speech.flac", "flac", "flac"),
    ("speech.mp3", "mp3", "libmp3lame"),
    ("speech.opus", "ogg", "libopus"),
    ("speech.ogg", "ogg", "flac"),
    ("speech.oga", "ogg", "vorbis"),
    ("speech.m4a", "ipod", "aac"),
    ("lossless.m4a", "ipod", "alac"),
    ("speech.mp4", "mp4", "aac"),
    ("opus.mp4", "mp4", "libopus"),
    ("speech.mov", "mov", "pcm_s16le"),
    ("speech.aiff", "aiff", "pcm_s16be"),
    ("speech.webm", "webm", "libopus"),
    ("speech.mkv", "matroska", "flac"),
]
CODEC_RATES = {"libopus": (8000, 16000, 24000, 48000), "libmp3lame": (16000, 22050, 44100, 48000)}


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize(
    ("name", "container", "codec", "rate"),
    [
        (*form, rate)
        for form in FORMATS
        for rate in CODEC_RATES.get(form[2], (8000, 16000, 22050, 24000, 44100, 48000))
        if form[0] != "opus.mp4" or rate == 48000  # the others need a 48 kHz time scale
    ],
)
def test_file(
    tmp_path: Path, name: str, container: str, codec: str, rate: int, layout: str
) -> None:
    length = 2 * rate + 317  # no whole number of codec frames, milliseconds or 16 kHz samples
    signal = chirp(3.0, rate)[:length]
    path = tmp_path / name
    write_audio(path, signal, rate, codec=codec, container=container, layout=layout)
    decoded = joined(decode_audio(path))
    expected = chirp(3.0, SAMPLE_RATE)[: math.ceil(length * SAMPLE_RATE / rate)]
    assert len(decoded) == len(expected)
    assert_same_signal(decoded, expected)
    hint = expected_samples(path)
    assert hint is None or abs(hint - len(decoded)) <= 0.1 * SAMPLE_RATE


@pytest.mark.parametrize("seconds", [0.3, 2.0, 8.0])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_vorbis_equals_the_reference_decoder(tmp_path: Path, rate: int, seconds: float) -> None:
    """Files of a single page, which FFmpeg trims wrongly, and longer ones."""
    path = tmp_path / "speech.ogg"
    soundfile.write(path, chirp(seconds, rate)[:-77], rate, format="OGG", subtype="VORBIS")
    reference, _ = soundfile.read(path)
    np.testing.assert_allclose(
        joined(decode_audio(path)), joined(decode_audio(reference, rate)), atol=1e-5
    )


def test_video_file_gives_its_sound(tmp_path: Path) -> None:
    signal = chirp(2.0, 48000)
    path = tmp_path / "talk.mp4"
    write_audio(path, signal, 48000, codec="aac", container="mp4", layout="stereo", video_fps=25)
    decoded = joined(decode_audio(str(path)))
    assert len(decoded) == 2 * SAMPLE_RATE
    assert_same_signal(decoded, chirp(2.0, SAMPLE_RATE))


def test_decoding_is_lazy(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16000 * 60, np.int16), 16000)
    chunks = decode_audio(path)
    assert len(next(chunks)) < 16000
    chunks.close()  # type: ignore[attr-defined]


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nothing\.wav does not exist"):
        decode_audio(tmp_path / "nothing.wav")
    with pytest.raises(AudioError, match="is a folder"):
        decode_audio(tmp_path)
    with pytest.raises(AudioError, match="does not exist"):
        decode_audio("http://localhost/speech.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="0 bytes"):
        decode_audio(tmp_path / "empty.wav")
    (tmp_path / "notes.mp3").write_text("these are not the bytes of an mp3 file\n" * 100)
    with pytest.raises(AudioError, match="cannot be opened"):
        list(decode_audio(tmp_path / "notes.mp3"))
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    with pytest.raises(AudioError, match="states its own rate"):
        decode_audio(tmp_path / "a.wav", 16000)


@pytest.mark.parametrize("name", ["list.m3u8", "list.txt", "list.mp3", "list.wav"])
def test_playlists_are_not_followed(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "secret.wav", chirp(1.0, 16000), 16000)
    path = tmp_path / name
    for text in (
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
    ):
        path.write_text(text)
        with pytest.raises(AudioError, match="cannot be opened"):
            list(decode_audio(path))


def test_no_audio_stream(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
        output.mux(stream.encode(grey))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"no audio stream \(it has: video\)"):
        decode_audio(path)


def test_unknown_coding(tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(1000), 16000)
    data = bytearray(path.read_bytes())
    data[20:22] = b"\x77\x77"  # the format tag
    path.write_bytes(data)
    with pytest.raises(AudioError, match="coding unknown here"):
        decode_audio(path)


def test_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(AudioError, match=r"none\.wav"):
        list(decode_audio(path))


@pytest.mark.parametrize(("rate", "says"), [(2000, "2000 Hz"), (1_000_000, "1000000 Hz")])
def test_file_rate_out_of_range(tmp_path: Path, rate: int, says: str) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(1000), rate)
    with pytest.raises(AudioError, match=says):
        list(decode_audio(path))


@pytest.mark.parametrize(
    ("value", "says"), [(np.nan, "NaN"), (-np.inf, "NaN"), (9e3, "32768"), (3e38, "32768")]
)
def test_bad_floats_in_a_file(tmp_path: Path, value: float, says: str) -> None:
    signal = chirp(1.0, 16000).astype(np.float32)
    signal[8000] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, signal, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=says):
        list(decode_audio(path))


@pytest.mark.parametrize(
    ("name", "container", "codec", "options"),
    [
        ("a.wav", "wav", "pcm_s16le", {}),
        ("a.flac", "flac", "flac", {}),
        ("a.mp3", "mp3", "libmp3lame", {}),
        ("a.opus", "ogg", "libopus", {}),
        ("a.m4a", "ipod", "aac", {}),
        ("fast.m4a", "ipod", "aac", {"movflags": "+faststart"}),
        ("a.mkv", "matroska", "aac", {}),
        ("a.aiff", "aiff", "pcm_s16be", {}),
        ("a.au", "au", "pcm_s16be", {}),
    ],
)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_truncated_file(
    tmp_path: Path, name: str, container: str, codec: str, options: dict[str, str], part: float
) -> None:
    path = tmp_path / name
    write_audio(path, chirp(6.0, 48000), 48000, codec=codec, container=container, options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: round(len(whole) * part) // 4 * 4 + 1])
    with pytest.raises(AudioError, match=re.escape(str(path))):
        list(decode_audio(path))


def test_wav_cut_between_samples(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.zeros(16000, np.int16), 16000)
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(AudioError, match="cut short"):
        list(decode_audio(path))


@pytest.mark.parametrize("missing", [0, 2, 16000])
@pytest.mark.parametrize("known", [True, False])
def test_au_cut_between_samples(tmp_path: Path, missing: int, known: bool) -> None:
    """One written to a pipe does not know its length; others do, to the byte."""
    path = tmp_path / "cut.au"
    soundfile.write(path, np.zeros(16000, np.int16), 16000)
    data = path.read_bytes()
    head = data[:8] + (data[8:12] if known else b"\xff" * 4)
    path.write_bytes(head + data[12 : len(data) - missing])
    if known and missing:
        with pytest.raises(AudioError, match="cut short"):
            list(decode_audio(path))
    else:
        assert len(joined(decode_audio(path))) == 16000 - missing // 2


@pytest.mark.parametrize("stated", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_written_to_a_pipe(tmp_path: Path, stated: int) -> None:
    """Such a header cannot know the length; the samples that are there are all there are."""
    path = tmp_path / "pipe.wav"
    soundfile.write(path, np.zeros(16000, np.int16), 16000)
    data = bytearray(path.read_bytes())
    data[4:8] = stated.to_bytes(4, "little")
    size = data.index(b"data") + 4
    data[size : size + 4] = (stated or 0xFFFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)
    assert len(joined(decode_audio(path))) == 16000


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [("a.flac", "flac", "flac"), ("a.mp3", "mp3", "libmp3lame"), ("a.m4a", "ipod", "aac")],
)
def test_damage_in_the_middle(tmp_path: Path, name: str, container: str, codec: str) -> None:
    path = tmp_path / name
    write_audio(path, chirp(6.0, 44100), 44100, codec=codec, container=container)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="damaged"):
        list(decode_audio(path))


def test_mp3_tags_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mp3"
    write_audio(path, chirp(2.0, 44100), 44100, codec="libmp3lame", container="mp3")
    sound = path.read_bytes()
    sound = sound[10 + int.from_bytes(sound[8:10], "big") :]  # the encoder's own short ID3 tag
    title = b"\0\0\x03T" + b"x" * 20000
    frame = b"TIT2" + len(title).to_bytes(4, "big") + b"\0\0" + title
    size = len(frame)
    head = b"ID3\x03\0\0" + bytes([0, size >> 14 & 127, size >> 7 & 127, size & 127])
    plain = joined(decode_audio(path))
    path.write_bytes(head + frame + sound + b"TAG" + b"t" * 125)
    np.testing.assert_array_equal(joined(decode_audio(path)), plain)
    path.write_bytes((head + frame + sound)[: len(head + frame) + len(sound) // 2])
    with pytest.raises(AudioError, match="cut short"):
        list(decode_audio(path))


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    files = {}
    folder = tmp_path_factory.mktemp("whole")
    for name, container, codec in (
        ("wav", "wav", "pcm_s16le"),
        ("flac", "flac", "flac"),
        ("mp3", "mp3", "libmp3lame"),
        ("ogg", "ogg", "libopus"),
        ("m4a", "ipod", "aac"),
    ):
        write_audio(folder / name, chirp(0.4, 16000), 16000, codec=codec, container=container)
        files[name] = (folder / name).read_bytes()
    return files


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["wav", "flac", "mp3", "ogg", "m4a"]))
def test_damaged_files_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    small_files: dict[str, bytes],
    data: st.DataObject,
    name: str,
) -> None:
    whole = small_files[name]
    flips = data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=20)
    )
    broken = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for at, value in flips:
        if at < len(broken):
            broken[at] = value
    path = tmp_path_factory.mktemp("damaged") / f"a.{name}"
    path.write_bytes(broken)
    try:
        list(decode_audio(path))
    except AudioError as error:
        assert str(path) in str(error)
