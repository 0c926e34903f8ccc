"""The SDK's face: `Avatar`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parlante.checks import path_of
from parlante.contract import Picture, Precision, Samples
from parlante.errors import BundleError, ImageError, OutputError, shown
from parlante.face.model import FaceModel
from parlante.options import RenderOptions
from parlante.portrait.cache import PortraitCache
from parlante.portrait.encoder import PortraitEncoder, key_of
from parlante.portrait.pictures import Pictures, as_list
from parlante.portrait.portrait import SUFFIX, Portrait, read_portrait
from parlante.render.chain import StageTimes
from parlante.render.renderer import FrameRenderer
from parlante.runtime.bundle import Bundle
from parlante.runtime.compute import Compute
from parlante.runtime.sessions import resolve_device
from parlante.session.engine import Engine, Frame, Renderer
from parlante.session.live import Clock, Live
from parlante.session.marked import Marked
from parlante.session.timeline import Timeline
from parlante.speaking import Speech, seeded
from parlante.speech.motion import MotionStream

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from parlante.options import RenderKeywords


class Avatar:
    """One person, ready to speak.

    Args:
        photo: a photo (path, bytes of an image file, or uint8 [H, W], [H, W, 3] RGB or
            [H, W, 4]), several photos of the same person, or a short video of them. The best
            picture is the source, all of them serve the shape of the face; a video of two seconds
            or more (20 are looked at) also shows how the person moves head and lids, and the avatar
            moves like them. Or a face that `save` wrote (.npz), alone.
        face: which face, where a picture shows several; 0 is the largest.
        device: ``"cpu"``, ``"openvino"`` (the CPU, the renderer's networks by OpenVINO), ``"cuda"``
            or ``"auto"`` (CUDA where it works, else the CPU); one that is not there is a
            `DeviceError`.
        precision: what the renderer's networks compute in: ``"float32"``, ``"int8"`` (faster on a
            CPU with VNNI), or ``"float16"`` with a bundle that has it.
        threads: CPU threads, 1 to 64: `speak` draws as many frames at once and gives as many to
            the encoder, a live session draws each frame with all of them.
        cache: folder of encoded faces, keyed by content; None for the user's cache folder, False
            for none.
        bundle: networks to use instead of the built-in ones.

    Raises:
        ImageError: the photo cannot be read, or the file is no encoded face.
        FaceNotFoundError, SeveralFacesError: no face, or no single one.
        BundleError, DeviceError: the networks are damaged or cannot run where asked.
    """

    def __init__(
        self,
        photo: Picture | Sequence[Picture],
        *,
        face: int | None = None,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 2,
        cache: Path | str | bool | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        if face is not None and (isinstance(face, bool) or not isinstance(face, int) or face < 0):
            raise ImageError(f"face={shown(face)}; faces count 0, 1, 2 … from the largest")
        self._compute = Compute(device=device, precision=precision, threads=threads)
        resolve_device(device)
        # Files that the avatar is made from, which nothing made with it replaces.
        self.sources = [
            Path(one).absolute() for one in as_list(photo) if isinstance(one, (str, Path))
        ]
        saved = _saved_face(photo)
        if saved is not None and face is not None:
            raise ImageError(f"face={face} came with {saved}, which holds one face; leave it out")
        pictures = None if saved is not None else Pictures.read(photo)
        if bundle is not None and not isinstance(bundle, Bundle):
            raise BundleError(f"bundle={shown(bundle)}; open a folder of networks with Bundle.open")
        self.bundle = bundle or Bundle.default()
        self._model = FaceModel.of(self.bundle.arrays("face_model"))
        if saved is not None:
            self.portrait = read_portrait(saved)
        else:
            assert pictures is not None
            self.portrait = _encoded(
                self.bundle, self._compute, pictures, face, PortraitCache(cache)
            )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 2,
        bundle: Bundle | None = None,
    ) -> Avatar:
        """An avatar from a face that `save` wrote; the options are those of `Avatar`.

        Raises:
            ImageError: the file is no such face.
        """
        if path_of(path, ImageError).suffix.lower() != SUFFIX:
            raise ImageError(f"{path} is not an encoded face ({SUFFIX}); use Avatar for a photo")
        return cls(path, device=device, precision=precision, threads=threads, bundle=bundle)

    def save(self, path: str | Path) -> None:
        """Write the encoded face (.npz, no pickle), whole or not at all.

        Raises:
            OutputError: the name does not end in .npz, or the file cannot be written.
        """
        self.portrait.save(path_of(path, OutputError))

    def speak(
        self,
        audio: str | Path | Samples,
        *,
        sample_rate: int | None = None,
        options: RenderOptions | None = None,
        **keywords: Unpack[RenderKeywords],
    ) -> Speech:
        """The video of this person saying ``audio``; drawn when it is iterated or saved.

        Args:
            audio: a sound or video file, or samples int16, float32 or float64, [n] or
                [n, channels].
            sample_rate: of the samples, Hz; a file knows its own.
            options: how the video is drawn; the defaults where None.
            keywords: fields of `RenderOptions` in the place of those of ``options``: steps, seed,
                size, frame, fps, look_ahead, pose, nod, blink, brows, eyes, gaze, mood, neutral,
                expression, breath, pixels, background, marks, payload.

        Raises:
            AudioError: the audio cannot be used.
            ImageError: the background cannot be read.
            ParlanteError: an option is out of its range.
        """
        return Speech(self, audio, sample_rate, RenderOptions.of(options, **keywords))

    def live(
        self,
        *,
        options: RenderOptions | None = None,
        realtime: bool = True,
        clock: Clock | None = None,
        on_frame: Callable[[Frame], object] | None = None,
        sound_rate: int | None = None,
        **keywords: Unpack[RenderKeywords],
    ) -> Live:
        """A session for speech that arrives in pieces; see `Live`.

        Args:
            options, keywords: as in `speak`.
            realtime: a frame every 1/fps seconds, idle ones where there is no speech; without, as
                fast as it goes and for speech only.
            clock: what paces the session, instead of the machine's clock.
            on_frame: called with each frame from a thread of the session's own, instead of
                iterating; an exception in it closes the session.
            sound_rate: of the frames' sound, Hz, 4,000 to 768,000; 16 kHz where None.

        Raises:
            AudioError: ``sound_rate`` is out of its range.
            ImageError: the background cannot be read.
            ParlanteError: an option is out of its range.
        """
        chosen = seeded(RenderOptions.of(options, **keywords), self.portrait.key)
        engine, _ = self._engine(chosen, at_once=1)
        return Live(
            engine,
            realtime=realtime,
            clock=clock,
            on_frame=on_frame,
            options=chosen,
            sound_rate=sound_rate,
        )

    def _engine(self, options: RenderOptions, *, at_once: int) -> tuple[Engine, StageTimes]:
        _log.info("%s, %s, %d frames at once", options, self._compute, at_once)
        renderer = FrameRenderer(
            self.bundle, self._model, self.portrait, options, self._compute, at_once
        )
        motion = MotionStream(
            self.bundle,
            seed=options.seed or 0,
            manner=self.portrait.manner,
            device=self._compute.device,
            ahead=options.ahead,
        )
        shown: Renderer = renderer
        if "watermark" in options.marks:
            shown = Marked(renderer, options)
        else:
            _log.warning("frames carry no watermark: who shows them has to say that they were made")
        return Engine(motion, shown, Timeline(options.rate, options.ahead)), renderer.times


def _encoded(
    bundle: Bundle, compute: Compute, pictures: Pictures, face: int | None, cache: PortraitCache
) -> Portrait:
    # Of several faces in a video, only how the largest moves can be seen.
    moving = pictures.video is not None and not face
    key = key_of(bundle, pictures.photos, face, video=moving)
    portrait = cache.get(key)
    _log.info("face %s: %s", key[:12], "to be encoded" if portrait is None else "from the cache")
    if portrait is None:
        video = pictures.moving() if moving else None
        encoder = PortraitEncoder(bundle, device=compute.device, threads=compute.threads)
        portrait = encoder.encode(pictures.photos, face=face, video=video)
        cache.put(portrait)
    return portrait


def _saved_face(photo: Picture | Sequence[Picture]) -> Path | None:
    """The encoded face among what an avatar is to be made from, which has to be alone."""
    given = as_list(photo)
    saved = [
        Path(one)
        for one in given
        if isinstance(one, (str, Path)) and Path(one).suffix.lower() == SUFFIX
    ]
    if saved and len(given) > 1:
        raise ImageError(f"{saved[0]} is an encoded face; give it alone, or photos only")
    return saved[0] if saved else None
