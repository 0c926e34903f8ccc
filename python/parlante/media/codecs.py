"""What the containers of video files hold, by the ends of their names: FFmpeg's codecs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Final

from parlante.errors import OutputError, shown

AAC_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)
# x264's, from fast to small, and SVT-AV1's that are about as slow.
PRESETS: Final = {
    "ultrafast": 12,
    "superfast": 11,
    "veryfast": 10,
    "faster": 9,
    "fast": 8,
    "medium": 6,
    "slow": 4,
}
STANDARD_OUTPUT: Final = Path("-")
# What VP9 and AV1 need above x264's constant quality to look like it; x265 needs as much.
_WEB_CRF: Final = 8


@dataclass(frozen=True)
class Codecs:
    """How pictures and sound are coded: FFmpeg's names, and the picture's tag where it matters.

    One whose pixel format is bgra, or begins with yuva, keeps transparency.
    """

    video: str = "libx264"
    pixels: str = "yuv420p"
    audio: str = "aac"
    tag: str = ""

    @property
    def transparent(self) -> bool:
        """Whether pictures are RGBA."""
        return self.pixels.startswith("yuva") or self.rgb

    @property
    def rgb(self) -> bool:
        """Whether colours stay red, green and blue."""
        return self.pixels == "bgra"

    @property
    def rates(self) -> tuple[int, ...]:
        """Rates of the sound, Hz."""
        return OPUS_RATES if self.audio == "libopus" else AAC_RATES

    def check_rate(self, sample_rate: int) -> None:
        """OutputError unless sound of this rate can be held."""
        if sample_rate not in self.rates:
            rates = ", ".join(map(str, self.rates))
            raise OutputError(f"sample_rate is {sample_rate}; give one of {rates} Hz")

    def options(self, crf: int, preset: str) -> dict[str, str]:
        """What the picture's codec is told; ``crf`` and ``preset`` as x264 has them.

        OutputError where ``crf`` is not 0 to 51.
        """
        if not isinstance(crf, Integral) or not 0 <= crf <= 51:
            raise OutputError(f"crf is {shown(crf)}; give 0 (lossless) to 51")
        if self.video == "prores_ks":
            return {"profile": "4444", "vendor": "apl0"}
        if self.video in ("ffv1", "rawvideo"):
            return {}
        if self.video == "libvpx-vp9":
            fast = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"}
            return {"crf": str(crf + _WEB_CRF), "b": "0", **fast}
        if self.video == "libsvtav1":
            return {"crf": str(crf + _WEB_CRF), "preset": str(PRESETS[preset])}
        options = {"crf": str(crf), "preset": preset}
        return options | ({"x265-params": "log-level=0"} if self.video == "libx265" else {})


_SUFFIXES: Final = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Of each container, the one that it has where none is asked for first. Matroska cannot say where in
# its last packet AAC ends; Apple plays HEVC that is tagged hvc1.
_OPAQUE: Final = {
    "mp4": {"h264": Codecs(), "hevc": Codecs("libx265", tag="hvc1"), "av1": Codecs("libsvtav1")},
    "mov": {"h264": Codecs(), "hevc": Codecs("libx265", tag="hvc1")},
    "matroska": {
        "h264": Codecs(audio="flac"),
        "hevc": Codecs("libx265", audio="flac"),
        "av1": Codecs("libsvtav1", audio="flac"),
        "raw": Codecs("rawvideo", audio="pcm_s16le"),
    },
    "webm": {
        "vp9": Codecs("libvpx-vp9", audio="libopus"),
        "av1": Codecs("libsvtav1", audio="libopus"),
    },
}
_TRANSPARENT: Final = {
    "mov": {"prores": Codecs("prores_ks", "yuva444p10le", "pcm_s16le")},
    "matroska": {"ffv1": Codecs("ffv1", "bgra", "flac")},
    "webm": {"vp9": Codecs("libvpx-vp9", "yuva420p", "libopus")},
}
CODECS: Final = ("h264", "hevc", "av1", "vp9", "prores", "ffv1", "raw")
TEN_BITS: Final = ("h264", "hevc", "av1")


def codecs_of(
    path: Path, *, transparent: bool = False, codec: str | None = None, bits: int = 8
) -> tuple[str, Codecs]:
    """Container of a file of that name, and what is in it.

    codec: one of `CODECS`, or None for what suits the container; bits: 8 or 10, of each colour.
    Standard output, "-", is Matroska. OutputError for other names, and for a codec or so many bits
    that the container does not have.
    """
    if path == STANDARD_OUTPUT:
        container = "matroska"
    else:
        suffixes = {s: c for s, c in _SUFFIXES.items() if not transparent or c in _TRANSPARENT}
        if path.suffix.lower() not in suffixes:
            *others, last = suffixes
            raise OutputError(
                f"{path} ends in {path.suffix!r}; name the {'transparent ' * transparent}video "
                f"{', '.join(others)} or {last}"
            )
        container = suffixes[path.suffix.lower()]
    known = (_TRANSPARENT if transparent else _OPAQUE)[container]
    name = codec or next(iter(known))
    if not isinstance(name, str) or name not in known:
        kind = f"transparent {container}" if transparent else container
        raise OutputError(f"codec is {shown(codec)}; {kind} holds {' or '.join(known)}")
    chosen = known[name]
    if bits == 8 or (bits == 10 and chosen.pixels.endswith("10le")):
        return container, chosen
    if bits != 10 or name not in TEN_BITS:
        raise OutputError(f"bits is {bits}; give 8, or 10 with {', '.join(TEN_BITS)}")
    return container, replace(chosen, pixels="yuv420p10le")
