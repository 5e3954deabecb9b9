"""Frames and headers, written by us and read by others, and the other way round."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.triton import http2
from service.triton.http2 import FrameReader, HeaderReader, ProtocolError
from service.triton.unary import headers_of

FRAMES = st.tuples(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, http2.MOST_BYTES),
    st.binary(max_size=300),
)


@given(st.lists(FRAMES, max_size=6), st.data())
def test_frames_are_read_however_they_are_cut(
    frames: list[tuple[int, int, int, bytes]], data: st.DataObject
) -> None:
    sent = b"".join(http2.frame(*each) for each in frames)
    reader, found = FrameReader(), []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        found += reader.read(sent[:size])
        sent = sent[size:]
    assert found == frames


def test_a_frame_larger_than_announced_is_an_error() -> None:
    reader = FrameReader()
    assert len(list(reader.read(http2.frame(0, 0, 1, bytes(16_384))))) == 1
    with pytest.raises(ProtocolError, match="a frame of 16385 bytes"):
        list(reader.read(http2.frame(0, 0, 1, bytes(16_385))))


@given(st.binary(max_size=20), st.binary(max_size=40_000))
def test_a_header_is_read_by_others(name: bytes, value: bytes) -> None:
    assert hpack.Decoder().decode(http2.literal(name, value), raw=True) == [(name, value)]


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 16_383, 65_000])
def test_lengths_are_read_by_others(size: int) -> None:
    block = http2.literal(b"name", b"x" * size)
    ((_, value),) = hpack.Decoder().decode(block, raw=True)
    assert len(value) == size


def test_a_call_opens_with_what_grpc_asks_for() -> None:
    block = headers_of("/service/Method", 1.2341, [("traceparent", "00-" + "a" * 200)])
    assert hpack.Decoder().decode(block) == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/service/Method"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "1235m"),
        ("traceparent", "00-" + "a" * 200),
    ]


def test_headers_are_read_with_and_without_huffmans_code_again_and_again() -> None:
    reader = HeaderReader()
    for huffman in (True, False):
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        block = encoder.encode([(b"grpc-status", b"13"), (b"grpc-message", b"no")], huffman=huffman)
        for _ in range(3):
            assert reader.read(block) == {b"grpc-status": b"13", b"grpc-message": b"no"}


def test_headers_that_need_a_table_are_an_error() -> None:
    encoder = hpack.Encoder()
    encoder.encode([(b"grpc-message", b"kept in a table")])
    again = encoder.encode([(b"grpc-message", b"kept in a table")])
    with pytest.raises(ProtocolError, match="headers: "):
        HeaderReader().read(again)


def test_as_many_headers_are_remembered_as_there_is_room_for() -> None:
    reader = HeaderReader()
    for number in range(1000):
        value = b"%d" % number
        assert reader.read(http2.literal(b"grpc-message", value)) == {b"grpc-message": value}
    assert len(reader._known) == http2.KNOWN_BLOCKS


@pytest.mark.parametrize("payload", [b"", b"\x05abc", b"\x04abc"])
def test_more_padding_than_frame_is_an_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="padding"):
        http2.unpadded(http2.PADDED, payload)


def test_padding_is_taken_off() -> None:
    assert http2.unpadded(http2.PADDED, b"\x02abc\x00\x00") == b"abc"
    assert http2.unpadded(http2.PADDED, b"\x00abc") == b"abc"
    assert http2.unpadded(0, b"\x02abc") == b"\x02abc"


@pytest.mark.parametrize("size", [1, 5, 7])
def test_settings_of_an_odd_size_are_an_error(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"settings of {size} bytes"):
        http2.settings_of(bytes(size))
