"""Was a sound file cut short? What FFmpeg does not tell, read from the files' own headers."""

from __future__ import annotations

from pathlib import Path


def is_cut_short(path: Path, formats: frozenset[str], packets: int) -> bool:
    """Whether a file of FFmpeg's ``formats``, of which ``packets`` were read, ends too early."""
    return (
        ("wav" in formats and _is_cut_riff(path))
        or ("au" in formats and _is_cut_au(path))
        or ("ogg" in formats and _is_cut_ogg(path))
        or ("mp3" in formats and _is_cut_mp3(path, packets))
    )


def _is_cut_riff(path: Path) -> bool:
    """Whether a WAV file is shorter than its RIFF header says; FFmpeg goes by the file's size.

    Writers that cannot seek leave 0 or about 2^31 or 2^32 in the header, which says nothing.
    """
    with path.open("rb") as file:
        head = file.read(8)
        size = file.seek(0, 2)
    stated = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and 0 < stated < 0x7FFF0000 and size < stated


def _is_cut_au(path: Path) -> bool:
    """Whether an AU file is shorter than its header says; FFmpeg goes by the file's size.

    Writers that cannot seek leave 2^32 - 1 for the length of the data.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
    begin, stated = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
    return stated != 0xFFFFFFFF and size < begin + stated


def _is_cut_ogg(path: Path) -> bool:
    """Whether the last Ogg page is not all there (RFC 3533, section 6)."""
    header, longest_page = 27, 27 + 255 + 255 * 255
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - longest_page))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < header:
        return True
    segments = page[26]
    return len(page) < header + segments + sum(page[header : header + segments])


def _is_cut_mp3(path: Path, packets: int) -> bool:
    """Whether `packets` is less than the frames that the Xing or Info header, if any, counts."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3":
            for byte in head[6:]:
                start = start << 7 | byte
            start += 10
        file.seek(start)
        first = file.read(512)
    for mark in (b"Xing", b"Info"):
        at = first.find(mark)
        if at >= 0 and len(first) >= at + 12 and first[at + 7] & 1:
            frames = int.from_bytes(first[at + 8 : at + 12], "big")
            return packets < frames - 2  # some encoders count the header itself
    return False
