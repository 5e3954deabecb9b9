"""What an ONNX file asks of the runtime that opens it, read before one does.

A graph can name operators whose code comes from elsewhere, loops without an end, and tensors that
lie in other files, anywhere on the disk. None of our engines does. The file is read here as
Protocol Buffers write it, and no value of a tensor is looked at: serving has no package that knows
ONNX, and one that is made to load models would do what is to be prevented.

Numbers of fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from core.versions import VersionError

# The operators that every runtime brings itself, by domain; None is all of them.
OPERATORS: dict[str, frozenset[str] | None] = {
    "": None,
    "ai.onnx": None,
    # A scheme of `sub50 engines quantize`, and what graphs for a GPU have (engines/gpu_graph.py).
    "com.microsoft": frozenset({"MatMulNBits", "Attention", "SkipLayerNormalization", "BiasGelu"}),
}
# They run as often as their input says, which may be for ever.
LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
# An encoder of 48 layers has 20,000; a file made of nothing but fields would take hours to read.
MOST_FIELDS = 2_000_000
# Branches inside branches.
MOST_DEPTH = 8
# Elements of four bits are the smallest.
ELEMENTS_A_BYTE = 2

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10

NO_MODEL = "it is not an ONNX model; build it again"
CUT_SHORT = "it is cut short, or is not an ONNX model; build or copy it again"
SPARSE = "it holds sparse tensors; export it with dense ones"


class EngineFileError(VersionError):
    """A file is not an ONNX model that may be served. The message names it and what to do."""


class _Refused(Exception):
    """Why a file is refused, without its name."""


@dataclass(frozen=True)
class Field:
    """One field of a message: its number and kind, its value, or where its bytes lie."""

    number: int
    wire: int
    value: int = 0
    start: int = 0
    end: int = 0


def check_engine_file(path: Path) -> None:
    """Raise EngineFileError unless a file is one ONNX model with nothing beyond plain operators.

    Refused are operators of domains other than ONNX's own (and those listed in `OPERATORS`), loops,
    functions and training graphs, tensors in other files, and tensors that say to be larger than
    what they hold.
    """
    try:
        check_graph_bytes(path.read_bytes())
    except OSError as error:
        raise EngineFileError(f"{path} cannot be read: {error.strerror}") from error
    except _Refused as refused:
        raise EngineFileError(f"{path}: {refused}") from refused


def check_graph_bytes(data: bytes) -> None:
    """Raise an error that says why, unless `data` is an ONNX model as `check_engine_file` asks."""
    _Reader(data).model()


class _Reader:
    """Walks through the messages of one model."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0

    def model(self) -> None:
        """The whole file: a `ModelProto`."""
        graphs = 0
        for field in self._fields_between(0, len(self._data)):
            if field.number == 7:
                graphs += 1
                self._graph(field, depth=0)
            elif field.number == 20:
                raise _Refused("it holds a training graph; export it for inference")
            elif field.number == 25:
                raise _Refused("it defines functions of its own; export it with them inlined")
        if graphs != 1:
            raise _Refused(NO_MODEL)

    def _graph(self, graph: Field, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise _Refused(f"its branches are nested deeper than {MOST_DEPTH}; export it anew")
        for field in self._inside(graph):
            if field.number == 1:
                self._node(field, depth)
            elif field.number == 5:
                self._tensor(field)
            elif field.number == 15:
                raise _Refused(SPARSE)

    def _node(self, node: Field, depth: int) -> None:
        kind, domain, attributes = "", "", []
        for field in self._inside(node):
            if field.number == 4:
                kind = self._text(field)
            elif field.number == 7:
                domain = self._text(field)
            elif field.number == 5:
                attributes.append(field)
        known = OPERATORS.get(domain, frozenset())
        if known is not None and kind not in known:
            raise _Refused(
                f"it asks for the operator {domain}.{kind}, which is none of ONNX's own: its code "
                "would come from elsewhere. Export it with operators of ONNX"
            )
        if kind in LOOPS:
            raise _Refused(
                f"it holds the operator {kind}, which may run for ever; export it unrolled"
            )
        for attribute in attributes:
            self._attribute(attribute, depth)

    def _attribute(self, attribute: Field, depth: int) -> None:
        for field in self._inside(attribute):
            if field.number in (5, 10):
                self._tensor(field)
            elif field.number in (6, 11):
                self._graph(field, depth + 1)
            elif field.number in (22, 23):
                raise _Refused(SPARSE)

    def _tensor(self, tensor: Field) -> None:
        dims: list[int] = []
        name, location, held_bytes, is_elsewhere = "", "", 0, False
        for field in self._inside(tensor):
            if field.number == 1:
                dims += self._numbers(field)
            elif field.number == 8:
                name = self._text(field)
            elif field.number == 13:
                is_elsewhere = True
                location = self._location(field) or location
            elif field.number == 14:
                self._require(field, VARINT)
                is_elsewhere |= field.value != 0
            elif field.number in (4, 5, 6, 7, 9, 10, 11):
                held_bytes += max(field.end - field.start, 1)
        if is_elsewhere:
            raise _Refused(_elsewhere(name, location))
        # A negative size reads as one of 2^63 and more.
        if prod(dims) > ELEMENTS_A_BYTE * held_bytes:
            raise _Refused(
                f"its tensor {name[:100]!r} says to have {prod(dims)} elements and holds "
                f"{held_bytes} bytes; build or export it again"
            )

    def _location(self, entry: Field) -> str:
        found = {field.number: field for field in self._inside(entry)}
        is_location = 1 in found and self._text(found[1]) == "location"
        return self._text(found[2]) if is_location and 2 in found else ""

    def _numbers(self, field: Field) -> list[int]:
        """A whole number, or several that are packed into bytes."""
        if field.wire == VARINT:
            return [field.value]
        self._require(field, BYTES)
        numbers, position = [], field.start
        while position < field.end:
            value, position = self._varint(position, field.end)
            numbers.append(value)
        return numbers

    def _text(self, field: Field) -> str:
        self._require(field, BYTES)
        return self._data[field.start : field.end].decode("utf-8", "replace")

    def _require(self, field: Field, wire: int) -> None:
        """Raise _Refused for a field of another kind: a runtime passes over it, we would not."""
        if field.wire != wire:
            raise _Refused(NO_MODEL)

    def _inside(self, message: Field) -> Iterator[Field]:
        self._require(message, BYTES)
        return self._fields_between(message.start, message.end)

    def _fields_between(self, position: int, end: int) -> Iterator[Field]:
        """The fields between two positions. Raises _Refused where they do not fit."""
        while position < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _Refused(f"it has more than {MOST_FIELDS} fields; no engine needs as many")
            key, position = self._varint(position, end)
            if key >= 2**32:  # what is above is read by some and dropped by others
                raise _Refused(NO_MODEL)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                value, position = self._varint(position, end)
                yield Field(number, wire, value)
                continue
            if wire == BYTES:
                size, position = self._varint(position, end)
            elif wire in FIXED_BYTES:
                size = FIXED_BYTES[wire]
            else:
                raise _Refused(NO_MODEL)
            start, position = position, position + size
            if position > end:
                raise _Refused(CUT_SHORT)
            yield Field(number, wire, start=start, end=position)

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """A number, seven bits a byte, and where what follows begins."""
        value = 0
        for shift in range(0, 7 * LONGEST_VARINT, 7):
            if position >= end:
                raise _Refused(CUT_SHORT)
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise _Refused(NO_MODEL)


def _elsewhere(name: str, location: str) -> str:
    path = Path(location)
    inside = location != "" and not path.is_absolute() and ".." not in path.parts
    where = "another file" if inside else "a file outside the version folder"
    return (
        f"its tensor {name[:100]!r} lies in {where} ({location[:200]!r}), which the card's "
        "checksum does not cover; save it as one file (onnx.save without external data)"
    )
