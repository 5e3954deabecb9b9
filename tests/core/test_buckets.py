import pytest

from core.buckets import BUCKET_LENGTHS, MAX_TOKENS, bucket_length


@pytest.mark.parametrize(("tokens", "bucket"), [(1, 16), (16, 16), (17, 24), (500, 512)])
def test_smallest_bucket_that_holds_the_tokens(tokens: int, bucket: int) -> None:
    assert bucket_length(tokens) == bucket


def test_every_length_has_the_least_bucket() -> None:
    for tokens in range(1, MAX_TOKENS + 1):
        assert bucket_length(tokens) == min(b for b in BUCKET_LENGTHS if b >= tokens)


def test_too_many_tokens_are_an_error() -> None:
    with pytest.raises(ValueError, match="513"):
        bucket_length(513)
