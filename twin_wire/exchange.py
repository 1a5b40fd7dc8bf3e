"""What the server answers a gateway: its head, what it holds, its checkpoint, and one verdict per batch sent."""

from typing import NamedTuple

from twin_wire import cbor
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import SIGNATURE_BYTES, PublicKey, SigningKey

STATUSES = ("receipt", "pending", "duplicate", "need_manifest", "rejected")
VERDICTS_MAX = 256  # as many as batches in one post
RANGES_MAX = 1_000
CONSISTENCY_HASHES_MAX = 63  # a tree of 2**63 leaves needs no more
CHECKPOINT_BYTES_MAX = 64 << 10
RECEIPT_BYTES_MAX = 4 << 10
DETAIL_CHARS_MAX = 500
HISTORY_ID_CHARS_MAX = 64
ANSWER_BYTES_MAX = 2 << 20
_VERSION = 1
_SCHEME = "Gateway"
_WHOLE_MAX = (1 << 53) - 1  # exact in every language


class Head(NamedTuple):
    """A statement by its place and hash: the last of an unbroken run."""

    epoch: int
    seq: int
    hash: bytes  # SHA-256 of the statement


class Verdict(NamedTuple):
    """What became of one batch that was sent."""

    epoch: int
    seq: int
    status: str  # one of STATUSES
    receipt: bytes | None  # with "receipt", and with "duplicate" once the batch is in the log
    detail: str  # for people: why rejected, which number was expected


class Answer(NamedTuple):
    """The answer to `GET head` and to `POST batches`."""

    history_id: str  # new at creation and at every restore of the server's data
    head: Head | None  # last statement of the contiguous run; None while there is none
    above: tuple[tuple[int, int, int], ...]  # (epoch, first seq, last seq) held above the head, behind a hole
    anchored: Head | None  # bodies up to here are committed and backed up: the gateway may let them go
    size: int  # of the log
    checkpoint: bytes  # signed note
    consistency_from: int  # the size the gateway had verified, 0 for none
    consistency: tuple[bytes, ...]  # proof from there to the checkpoint's size
    watch: bool  # someone looks at the site: seal every second
    time_us: int  # the server's clock
    verdicts: tuple[Verdict, ...]  # in the order of the batches posted; empty for `GET head`


def encode_answer(answer: Answer) -> bytes:
    """Return the CBOR of `answer`; an answer that `read_answer` would refuse is a programmer's mistake."""
    fields: list[object] = [
        _VERSION,
        answer.history_id,
        _plain_head(answer.head),
        [list(each) for each in answer.above],
        _plain_head(answer.anchored),
        answer.size,
        answer.checkpoint,
        answer.consistency_from,
        list(answer.consistency),
        answer.watch,
        answer.time_us,
        [list(verdict) for verdict in answer.verdicts],
    ]
    return cbor.encode(dict(enumerate(fields)))


def read_answer(data: bytes) -> Answer:
    """Return the answer in `data`; FormatError for anything outside the specification."""
    fields = cbor.decode(data, size_max=ANSWER_BYTES_MAX)
    if not isinstance(fields, dict) or set(fields) != set(range(12)) or fields[0] != _VERSION or fields[0] is True:
        raise FormatError("answer: not a map of version 1")
    return Answer(
        history_id=_text(fields[1], HISTORY_ID_CHARS_MAX, "history_id"),
        head=_head(fields[2], "head"),
        above=tuple(_range(each) for each in _list(fields[3], RANGES_MAX, "above")),
        anchored=_head(fields[4], "anchored"),
        size=_whole(fields[5], "size"),
        checkpoint=_bytes(fields[6], CHECKPOINT_BYTES_MAX, "checkpoint"),
        consistency_from=_whole(fields[7], "consistency_from"),
        consistency=tuple(_hash(each) for each in _list(fields[8], CONSISTENCY_HASHES_MAX, "consistency")),
        watch=_flag(fields[9]),
        time_us=_whole(fields[10], "time_us"),
        verdicts=tuple(_verdict(each) for each in _list(fields[11], VERDICTS_MAX, "verdicts")),
    )


def _plain_head(head: Head | None) -> list[object] | None:
    return None if head is None else list(head)


def _head(item: object, name: str) -> Head | None:
    if item is None:
        return None
    epoch, seq, digest = _row(item, 3, name)
    return Head(_whole(epoch, name), _whole(seq, name), _hash(digest))


def _range(item: object) -> tuple[int, int, int]:
    epoch, first, last = (_whole(each, "above") for each in _row(item, 3, "above"))
    if last < first:
        raise FormatError("answer: a range above the head runs backwards")
    return epoch, first, last


def _verdict(item: object) -> Verdict:
    epoch, seq, status, receipt, detail = _row(item, 5, "verdict")
    if not isinstance(status, str) or status not in STATUSES:
        raise FormatError("answer: a verdict's status is not known")
    if receipt is not None:
        receipt = _bytes(receipt, RECEIPT_BYTES_MAX, "receipt")
    if (status == "receipt") != (receipt is not None) and status != "duplicate":
        raise FormatError("answer: a receipt belongs to the status that promises it")
    return Verdict(
        _whole(epoch, "verdict"), _whole(seq, "verdict"), status, receipt, _text(detail, DETAIL_CHARS_MAX, "detail")
    )


def _row(item: object, length: int, name: str) -> list[object]:
    if not isinstance(item, list) or len(item) != length:
        raise FormatError(f"answer: {name} is not an array of {length}")
    return item


def _list(item: object, most: int, name: str) -> list[object]:
    if not isinstance(item, list) or len(item) > most:
        raise FormatError(f"answer: {name} is not an array of at most {most}")
    return item


def _whole(item: object, name: str) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item <= _WHOLE_MAX:
        raise FormatError(f"answer: {name} is not a whole number within 0 to 2**53 - 1")
    return item


def _bytes(item: object, most: int, name: str) -> bytes:
    if not isinstance(item, bytes) or len(item) > most:
        raise FormatError(f"answer: {name} is not at most {most} bytes")
    return item


def _hash(item: object) -> bytes:
    if not isinstance(item, bytes) or len(item) != 32:
        raise FormatError("answer: a hash has 32 bytes")
    return item


def _text(item: object, most: int, name: str) -> str:
    if not isinstance(item, str) or len(item) > most:
        raise FormatError(f"answer: {name} is not a text of at most {most} characters")
    return item


def _flag(item: object) -> bool:
    if not isinstance(item, bool):
        raise FormatError("answer: watch is not true or false")
    return item


def head_authorization(key: SigningKey, origin: str, gateway: str) -> str:
    """Return the Authorization header of `GET head`: what the server holds of a gateway is told to its key alone."""
    return f"{_SCHEME} {key.sign(_head_message(origin, gateway)).hex()}"


def check_head_authorization(header: str, public: PublicKey, origin: str, gateway: str) -> None:
    """Return if the header was made by this key for this gateway and log; ProofError otherwise."""
    scheme, _, text = header.partition(" ")
    if scheme != _SCHEME or len(text) != 2 * SIGNATURE_BYTES or not set(text) <= set("0123456789abcdef"):
        raise ProofError("not a gateway's authorization")
    public.verify(bytes.fromhex(text), _head_message(origin, gateway))


def _head_message(origin: str, gateway: str) -> bytes:
    return b"\0".join((b"minetwin head 1", origin.encode(), gateway.encode()))
