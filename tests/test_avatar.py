"""`Avatar` and `Speech`: laziness, determinism, frames, and the files that come out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from parlante import Avatar, Frame, Speech, speaking
from parlante import avatar as avatar_module
from parlante.errors import (
    AudioError,
    DeviceError,
    ImageError,
    OutputError,
    ParlanteError,
)
from parlante.face.landmarks import FaceLandmarks, roi_from_landmarks
from parlante.face.topology import lip_aperture
from parlante.options import GAINS, RenderOptions, frame_rate
from parlante.speaking import seeded
from tests.support.face_samples import session
from tests.support.portrait_samples import PHOTO, VOICE, avatar, demo_rgb, demo_speech

RATE = 16_000
SMALL: dict[str, Any] = {"size": 128, "steps": 1}


def voice(seconds: float) -> NDArray[np.float32]:
    return demo_speech()[: round(seconds * RATE)]


def speech(seconds: float, **options: Any) -> Speech:
    return avatar().speak(voice(seconds), sample_rate=RATE, **{**SMALL, **options})


def assert_same(ours: list[Frame], others: list[Frame]) -> None:
    assert [f.pts for f in ours] == [f.pts for f in others]
    for a, b in zip(ours, others, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.audio, b.audio)


@cache
def spoken() -> tuple[Frame, ...]:
    """0.4 s of the demo, as most tests want it."""
    return tuple(speech(0.4, seed=3))


@pytest.mark.parametrize("threads", [0, 65, 1.0, True, None])
def test_bad_threads(threads: Any) -> None:
    with pytest.raises(ParlanteError, match="threads="):
        Avatar(demo_rgb(), threads=threads, cache=False)


@pytest.mark.parametrize("face", [-1, 1.0, True, "0"])
def test_bad_face(face: Any) -> None:
    with pytest.raises(ImageError, match="face="):
        Avatar(demo_rgb(), face=face, cache=False)


def test_bad_device() -> None:
    with pytest.raises(DeviceError, match="'tpu'"):
        Avatar(demo_rgb(), device="tpu", cache=False)


@pytest.mark.parametrize(
    "source", ["nothing.jpg", [], b"", b"no picture" * 99, 7, np.zeros((64, 64, 3), np.uint8)]
)
def test_bad_photos(source: Any) -> None:
    with pytest.raises(ImageError):
        Avatar(source, cache=False)


@pytest.mark.parametrize(
    ("audio", "rate"),
    [
        ("nothing.wav", None),
        (np.zeros(0, np.float32), RATE),
        (np.zeros(100, np.float32), None),
        (np.full(100, np.nan, np.float32), RATE),
        (np.zeros(100, np.uint8), RATE),
        (PHOTO, None),
    ],
)
def test_bad_audio(audio: Any, rate: int | None) -> None:
    with pytest.raises(AudioError):
        list(avatar().speak(audio, sample_rate=rate, **SMALL))


def test_nothing_happens_until_it_is_iterated(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    decode, renderer = speaking.decode_audio, avatar_module.FrameRenderer

    def decoding(*args: Any) -> Iterator[NDArray[np.float32]]:
        done.append("decode")
        return decode(*args)

    def rendering(*args: Any, **options: Any) -> Any:
        done.append("renderer")
        return renderer(*args, **options)

    monkeypatch.setattr(speaking, "decode_audio", decoding)
    monkeypatch.setattr(avatar_module, "FrameRenderer", rendering)
    made = avatar().speak(VOICE, **SMALL)
    frames = iter(made)
    assert done == []
    # 25 frames a second of the header's length: known without decoding.
    assert made.len_hint == -(-len(demo_speech()) // 640)
    first = next(frames)
    assert done == ["decode", "renderer"]
    assert first.pts == 0
    # Drawn as they are asked for: no further ahead than the threads that draw beside each other.
    assert made.times.frames <= 1 + avatar()._compute.threads


def test_every_iteration_starts_afresh() -> None:
    made = speech(0.2)
    assert_same(list(made), list(made))


def test_frames() -> None:
    frames = spoken()
    assert len(frames) == 10
    for index, frame in enumerate(frames):
        assert frame.pts == 640 * index
        assert (frame.image.shape, frame.image.dtype) == ((128, 128, 3), np.uint8)
        assert (frame.audio.shape, frame.audio.dtype) == ((640,), np.int16)
    sound = np.concatenate([frame.audio for frame in frames])
    np.testing.assert_array_equal(sound, np.round(voice(0.4) * 32768))
    assert not np.shares_memory(frames[0].image, frames[1].image)


def test_frames_show_the_person() -> None:
    """Whatever the networks do, the picture stays close to the photo: the warp carries it."""
    photo = cv2.resize(avatar().portrait.image[..., :3], (128, 128), interpolation=cv2.INTER_AREA)
    for frame in spoken():
        assert np.corrcoef(frame.image.ravel(), photo.ravel())[0, 1] > 0.7


def test_same_seed_same_bits() -> None:
    assert_same(list(speech(0.4, seed=3)), list(spoken()))


def test_other_seed_other_frames() -> None:
    others = list(speech(0.4, seed=4))
    assert any(not np.array_equal(a.image, b.image) for a, b in zip(others, spoken(), strict=True))


def test_threads_do_not_change_the_lips() -> None:
    """Convolutions on another number of threads may add up in another order; no more than that."""
    single = Avatar(demo_rgb(), threads=1, cache=False)
    frames = list(single.speak(voice(0.2), sample_rate=RATE, seed=3, **SMALL))
    for a, b in zip(frames, list(speech(0.2, seed=3)), strict=True):
        assert np.abs(a.image.astype(int) - b.image).max() <= 2


@pytest.mark.parametrize("cuts", [[1, 333, 4000], list(range(160, 6400, 160))])
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    """Bit for bit, sound and picture, with the real renderer."""
    engine = speech(0.4, seed=3).engine()
    frames = [f for chunk in np.split(voice(0.4), cuts) for f in engine.push(chunk)]
    frames += engine.flush()
    assert_same(frames, list(spoken()))


def test_the_seed_comes_from_face_and_sound(tmp_path: Path) -> None:
    said, other = voice(0.4), voice(0.5)
    seeds = [avatar().speak(v, sample_rate=RATE).seed for v in (said, said.copy(), other)]
    assert seeds[0] == seeds[1] != seeds[2]
    soundfile.write(tmp_path / "a.wav", said, RATE)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    of_files = [avatar().speak(tmp_path / name).seed for name in ("a.wav", "b.wav")]
    assert of_files[0] == of_files[1]
    assert avatar().speak(said, sample_rate=RATE, seed=5).seed == 5
    again = list(avatar().speak(said, sample_rate=RATE, seed=seeds[0], **SMALL))
    assert_same(list(avatar().speak(said, sample_rate=RATE, **SMALL)), again)
    of_faces = [seeded(RenderOptions(), key).seed for key in ("one face", "another")]
    assert of_faces[0] != of_faces[1]


def test_a_file_holds_the_sound_as_it_came(tmp_path: Path) -> None:
    """Both channels, at their rate, bit for bit where the file can; at its place to the sample."""
    noise = np.random.default_rng(0).integers(-9_000, 9_000, (22_050, 2)).astype(np.int16)
    video = avatar().speak(noise, sample_rate=44_100, **SMALL).save(tmp_path / "out.mkv")
    with av.open(str(video)) as container:
        sound = container.streams.audio[0]
        assert (sound.rate, sound.channels) == (44_100, 2)
        pieces = [frame.to_ndarray() for frame in container.decode(sound)]
    held = np.concatenate([piece.reshape(-1, 2) for piece in pieces])
    np.testing.assert_array_equal(held[: len(noise)], noise)
    assert len(held) == 13 * 44_100 // 25  # of all frames
    assert not held[len(noise) :].any()


def test_gains_switch_motion_off() -> None:
    """Without head motion, blinks and lip motion the audio moves nothing."""
    still = (
        avatar()
        .speak(voice(0.4), sample_rate=RATE, marks="none", **dict.fromkeys(GAINS, 0), **SMALL)
        .engine()
    )
    renderer = still._renderer
    warps = []
    for _ in still.push(voice(0.4)):
        warps.append(renderer._canvases[0]._warp.flow.copy())
    assert len(warps) > 2
    for warp in warps[1:]:
        np.testing.assert_array_equal(warp, warps[0])


def test_gain_of_lips_is_seen() -> None:
    """By the landmarks of the drawn frames, the lips part further with a higher gain."""
    find = FaceLandmarks(session("face_landmarks"))
    points = np.zeros((478, 3), np.float32)
    points[:468] = avatar().portrait.landmarks
    roi = roi_from_landmarks(points)

    def openings(gain: float) -> NDArray[np.float32]:
        frames = speech(1.2, size=256, expression=gain, pose=0, blink=0, seed=0)
        return lip_aperture(np.stack([find.landmarks(f.image, roi)[0] for f in frames]))

    off, natural, double = (openings(gain) for gain in (0, 1, 2))
    assert np.ptp(off) < 0.02 < 0.12 < np.ptp(natural)
    # What the network says of a wide mouth saturates; of the mean it does not.
    assert np.ptp(double) > np.ptp(natural)
    shut = off.mean()  # the network sees lips that touch a little apart
    assert double.mean() - shut > 1.5 * (natural.mean() - shut)


def test_stages_are_timed() -> None:
    made = speech(0.2)
    frames = list(made)
    assert made.times.frames == len(frames) == 5
    stages = {"mesh", "warp", "condition", "denoise_step", "denoise", "compose", "watermark"}
    assert set(made.times.seconds) == stages
    assert all(seconds > 0 for seconds in made.times.seconds.values())


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_any_rate_and_type_of_samples(rate: int) -> None:
    t = np.arange(round(0.2 * rate)) / rate
    stereo = np.tile((3000 * np.sin(2 * np.pi * 300 * t))[:, None], (1, 2)).astype(np.int16)
    made = avatar().speak(stereo, sample_rate=rate, **SMALL)
    assert made.len_hint == 5
    assert len(list(made)) == 5


def read(path: Path) -> tuple[list[NDArray[np.uint8]], int, av.VideoStream, av.AudioStream]:
    """Pictures, number of sound samples and the two streams of a video."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        pictures, samples = [], 0
        for frame in container.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.to_ndarray(format="rgb24"))
            else:
                samples += frame.samples
        return pictures, samples, video, audio


@pytest.mark.parametrize(("fps", "count"), [(25, 10), (29.97, 12)])
def test_saved_video(tmp_path: Path, fps: float, count: int) -> None:
    path, progress = tmp_path / "out.mp4", list[int]()
    made = speech(0.4, seed=3, fps=fps)
    assert made.len_hint == count
    assert made.save(path, progress=progress.append) == path
    assert progress == list(range(1, count + 1))
    assert list(tmp_path.iterdir()) == [path]
    pictures, samples, video, audio = read(path)
    assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
    assert (video.width, video.height) == (128, 128)
    assert video.average_rate == frame_rate(fps)
    assert (len(pictures), audio.rate) == (count, RATE)
    # AAC comes in blocks of 1024 samples: the last one may be padded.
    assert 0 <= samples - int(count * RATE / frame_rate(fps)) < 2048
    if fps == 25:
        # H.264 loses detail and half of the colour resolution, not the picture.
        for picture, frame in zip(pictures, spoken(), strict=True):
            assert np.abs(picture.astype(int) - frame.image).mean() < 6


@pytest.mark.parametrize("threads", [1, 2])
def test_the_encoder_has_as_many_threads(tmp_path: Path, threads: int) -> None:
    made = Avatar(PHOTO, threads=threads).speak(voice(0.2), sample_rate=RATE, **SMALL)
    # x264 writes down what it was told.
    assert f" threads={threads} ".encode() in made.save(tmp_path / "out.mp4").read_bytes()


def cut_short(path: Path) -> None:
    """Half of a file of 0.8 s of speech, whose header still promises all of it."""
    soundfile.write(path, voice(0.8), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_audio_leaves_no_file(tmp_path: Path) -> None:
    cut = tmp_path / "cut.flac"
    cut_short(cut)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(AudioError, match=r"cut\.flac"):
        avatar().speak(cut, **SMALL).save(folder / "out.mp4")
    assert list(folder.iterdir()) == []


def test_earlier_file_survives_a_failure(tmp_path: Path) -> None:
    cut, out = tmp_path / "cut.flac", tmp_path / "out.mp4"
    cut_short(cut)
    out.write_bytes(b"what was there")
    with pytest.raises(AudioError):
        avatar().speak(cut, **SMALL).save(out)
    assert out.read_bytes() == b"what was there"
    assert {p.name for p in tmp_path.iterdir()} == {"cut.flac", "out.mp4"}


@pytest.mark.parametrize("name", ["none/out.mp4", "out.txt", "out"])
def test_bad_output(tmp_path: Path, name: str) -> None:
    made = speech(0.2)
    with pytest.raises(OutputError):
        made.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert made.times.frames == 0  # refused before a frame is drawn


def test_interrupted_progress_leaves_no_file(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speech(0.4).save(tmp_path / "out.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_saved_face_speaks_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "face.npz"
    avatar().save(path)
    assert list(tmp_path.iterdir()) == [path]
    loaded = Avatar.load(path)
    frames = list(loaded.speak(voice(0.4), sample_rate=RATE, seed=3, **SMALL))
    assert_same(frames, list(spoken()))


def test_load_refuses_a_photo() -> None:
    with pytest.raises(ImageError, match="is not an encoded face"):
        Avatar.load(PHOTO)


def test_bgr_and_nv12_are_the_same_picture() -> None:
    for ours, bgr, nv12 in zip(
        spoken(), speech(0.4, seed=3, pixels="bgr"), speech(0.4, seed=3, pixels="nv12"), strict=True
    ):
        np.testing.assert_array_equal(bgr.image, ours.image[..., ::-1])
        frame = av.VideoFrame.from_ndarray(nv12.image, format="nv12")
        seen = frame.to_ndarray(format="rgb24", src_colorspace="itu709")
        assert np.abs(seen.astype(int) - ours.image).mean() < 4


def test_cut_out_over_a_colour_is_that_background() -> None:
    """Alpha, applied by the user, gives what the colour gives, and the person is in both."""
    colour = (10, 200, 30)
    cut_out, over_colour = (
        speech(0.2, marks="none", **how) for how in ({"pixels": "rgba"}, {"background": colour})
    )
    for cut, keyed in zip(cut_out, over_colour, strict=True):
        alpha = cut.image[..., 3:] / 255
        assert alpha[40:90, 50:78].min() > 0.95 and alpha[:8, :8].max() < 0.05
        made = cut.image[..., :3] * alpha + np.array(colour) * (1 - alpha)
        # Apart from thin hair, where colours that were clipped before blending differ.
        assert np.percentile(np.abs(made - keyed.image), 99) <= 2


def test_only_rgb_goes_into_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="rgb"):
        speech(0.1, pixels="nv12").save(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_session_changes_its_looks() -> None:
    """From one frame to the next; what came before is what it would have been."""
    with avatar().live(realtime=False, seed=3, **SMALL) as live:
        live.push_audio(voice(0.4), RATE)
        live.close_input()
        frames = [next(live) for _ in range(2)]
        live.change(mood="friendly", gaze=(20, 0))
        frames += list(live)
    as_before = [np.array_equal(a.image, b.image) for a, b in zip(frames, spoken(), strict=True)]
    assert as_before[:2] == [True, True] and not any(as_before[2:])
    with pytest.raises(ParlanteError, match="size cannot change"):
        live.change(size=256)
    with pytest.raises(ParlanteError, match="mood='grim'"):
        live.change(mood="grim")
