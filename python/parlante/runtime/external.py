"""Weights that a network keeps in other files, which no manifest knows: they are found here.

ONNX is protobuf (https://protobuf.dev/programming-guides/encoding); only what may hold a tensor is
looked through, by the numbers of the fields in onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# Of each kind of message, the fields that hold others in which there may be tensors.
HELD: Final = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_EXTERNAL: Final = (13, 14)  # of a tensor: where its data are, and that they are elsewhere
_VARINT, _LENGTH = 0, 2
_SIZES: Final = {1: 8, 5: 4}  # bytes of the other types of fields


def has_external_data(network: bytes) -> bool:
    """Whether some tensor of an ONNX network is in another file. ValueError: it is no network."""
    left = [("Model", 0, len(network))]
    while left:
        kind, begin, end = left.pop()
        for field, inner, over in _fields(network, begin, end):
            if kind == "Tensor" and field in _EXTERNAL and any(network[inner:over]):
                return True
            if field in HELD[kind]:
                left.append((HELD[kind][field], inner, over))
    return False


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number of each field of a message, and where what it holds begins and ends."""
    while at < end:
        tag, begin = _varint(data, at)
        field, form, at = tag >> 3, tag & 7, begin
        if form == _VARINT:
            at = _varint(data, begin)[1]
        elif form == _LENGTH:
            size, begin = _varint(data, begin)
            at = begin + size
        elif form in _SIZES:
            at += _SIZES[form]
        else:
            raise ValueError(f"field {field} is of type {form}")
        if at > end or not 0 < field < 1 << 29:
            raise ValueError(f"field {field} does not fit")
        yield field, begin, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it is over."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError(f"a number at byte {at} is cut short")
