"""`parlante completion`: what makes a shell complete commands, options and their values."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import get_args

import shtab

from parlante.contract import Mark, Mood, Pixels, Precision
from parlante.media.codecs import CODECS
from parlante.options import LOOK_AHEADS, NO_MARKS

# Of options, what shells offer; they take other texts, too, or tell in their own words what not.
OFFERED = {
    "codec": CODECS,
    "bits": (8, 10),
    "frame": ("head", "photo"),
    "look_ahead": LOOK_AHEADS,
    "mood": get_args(Mood),
    "pixels": get_args(Pixels),
    "background": ("green",),
    "marks": (*get_args(Mark), NO_MARKS),
    "device": ("cpu", "openvino", "cuda", "auto"),
    "precision": get_args(Precision),
}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """For ``shell``; the parser is of no other use then."""
    for one in _parsers(parser):
        for action in one._actions:
            if action.option_strings and action.dest in OFFERED:
                action.choices = OFFERED[action.dest]
    return str(shtab.complete(parser, shell))


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _parsers(below)
