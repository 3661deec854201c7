"""A head that is known byte for byte is not parsed again, and nothing else is taken for one."""

from api.heads import Heads

HEAD = b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"


def knowing(data: bytes, size: int) -> Heads:
    heads = Heads()
    heads.remember(data, size)
    return heads


def test_known_head_gives_the_body_behind_it() -> None:
    assert knowing(HEAD + b"abcd", 4).body_in(HEAD + b"efgh") == b"efgh"


def test_known_head_with_more_or_less_than_its_body_is_parsed() -> None:
    heads = knowing(HEAD + b"abcd", 4)

    assert [heads.body_in(HEAD + body) for body in (b"", b"abc", b"abcde")] == [None] * 3


def test_other_head_is_parsed() -> None:
    heads = knowing(HEAD + b"abcd", 4)

    assert heads.body_in(HEAD.replace(b"host: x", b"host: y") + b"abcd") is None
    assert heads.body_in(HEAD[:-1]) is None
    assert heads.body_in(b"") is None


def test_chunked_body_is_no_body_as_it_came() -> None:
    chunked = b"POST /api HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    data = chunked + b"4\r\nabcd\r\n0\r\n\r\n"

    assert knowing(data, 4).body_in(data) is None


def test_second_of_two_calls_in_one_read_is_not_remembered() -> None:
    data = HEAD + b"abcd" + HEAD + b"efgh"

    assert knowing(data, 4).body_in(HEAD + b"efgh") is None


def test_no_more_heads_are_kept_than_there_is_room_for() -> None:
    heads = knowing(HEAD + b"abcd", 4)
    for number in range(300):
        heads.remember(HEAD.replace(b"host: x", b"host: %d" % number) + b"abcd", 4)
    long = HEAD.replace(b"host: x", b"host: " + b"x" * 2_000)
    heads.remember(long + b"abcd", 4)

    assert heads.body_in(HEAD + b"efgh") is None
    assert heads.body_in(HEAD.replace(b"host: x", b"host: 299") + b"efgh") == b"efgh"
    assert heads.body_in(long + b"efgh") is None
