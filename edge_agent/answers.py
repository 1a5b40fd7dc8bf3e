"""Judges what the server answers: its log must continue the one verified before, every receipt must hold. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buffering.room import row_id
from buffering.rows import Remote
from edge_agent.identity import Identity
from twin_wire.errors import FormatError, ProofError
from twin_wire.exchange import Answer, Verdict
from twin_wire.merkle import EMPTY_ROOT, verify_consistency
from twin_wire.note import read_checkpoint
from twin_wire.receipt import verify_receipt
from twin_wire.statement import ZERO_HASH


class Judged(NamedTuple):
    """What may be believed of an answer; `complaint` is empty, or why the log is not the one verified before."""

    remote: Remote
    complaint: str
    restored: bool  # the server says that its data are those of a backup


def judge(identity: Identity, known: Remote, answer: Answer, now_us: int) -> Judged:
    """Return what to remember after an answer; with a complaint nothing is trusted further than before.

    FormatError or ProofError if the checkpoint is not the log's own.
    """
    if not answer.history_id:  # the server has not heard of this key yet
        return Judged(known._replace(server_id=-1), "", False)
    restored = bool(known.history_id) and answer.history_id != known.history_id
    base = known._replace(verified_size=0, verified_root=ZERO_HASH, anchored_id=-1) if restored else known
    head_id = row_id(answer.head.epoch, answer.head.seq) if answer.head else -1
    remote = base._replace(history_id=answer.history_id, server_id=head_id)
    checkpoint = read_checkpoint(answer.checkpoint, [identity.log_vkey])
    if checkpoint.origin != identity.origin or checkpoint.size != answer.size:
        raise ProofError("the checkpoint is of another log or size than the answer says")
    complaint = _continues(base, answer, checkpoint.size, checkpoint.root)
    if complaint:
        return Judged(remote._replace(anchored_id=base.anchored_id), complaint, restored)
    anchored = row_id(answer.anchored.epoch, answer.anchored.seq) if answer.anchored else -1
    root = checkpoint.root if checkpoint.size else ZERO_HASH
    remote = remote._replace(
        anchored_id=min(anchored, head_id),
        verified_size=checkpoint.size,
        verified_root=root,
        checkpoint=answer.checkpoint,
        receipt_us=now_us if answer.verdicts else base.receipt_us,
    )
    return Judged(remote, "", restored)


def _continues(known: Remote, answer: Answer, size: int, root: bytes) -> str:
    """Return "" if the tree (size, root) begins with the one verified before, else what is wrong."""
    if not known.verified_size:
        return "" if size or root == EMPTY_ROOT else "an empty log with a root"
    if size < known.verified_size:
        return f"the log shrank from {known.verified_size} to {size} entries"
    if answer.consistency_from != known.verified_size:
        return f"no proof from size {known.verified_size}, the one verified last"
    try:
        verify_consistency(known.verified_size, size, answer.consistency, known.verified_root, root)
    except FormatError as error:
        return f"the log of {size} entries does not continue the one of {known.verified_size}: {error}"
    return ""


class Sorted(NamedTuple):
    """The verdicts of one post, sorted by what to do; numbers are (epoch, seq)."""

    stored: int  # with a receipt that holds
    rejected: list[Verdict]
    wanted: set[bytes]  # first bytes of the digests of manifests the server lacks
    waiting: int  # "pending": to be sent again later
    complaint: str  # a receipt that does not hold


def sort_verdicts(
    identity: Identity, verdicts: Sequence[Verdict], sent: Mapping[tuple[int, int], bytes], size: int, root: bytes
) -> Sorted:
    """Check every receipt against the statement that was sent; a verdict on something not sent is a complaint."""
    stored = waiting = 0
    rejected: list[Verdict] = []
    wanted: set[bytes] = set()
    complaint = ""
    for verdict in verdicts:
        statement = sent.get((verdict.epoch, verdict.seq))
        if statement is None:
            complaint = complaint or f"a verdict on {verdict.epoch}/{verdict.seq}, which was not sent"
        elif verdict.receipt is not None:
            fault = _receipt_fault(identity, verdict.receipt, statement, size, root)
            complaint = complaint or (fault and f"receipt of {verdict.epoch}/{verdict.seq}: {fault}")
            stored += not fault
        elif verdict.status == "rejected":
            rejected.append(verdict)
        elif verdict.status == "need_manifest":
            wanted |= _prefix(verdict.detail)
        else:
            waiting += 1
    return Sorted(stored, rejected, wanted, waiting, complaint)


def _receipt_fault(identity: Identity, receipt: bytes, statement: bytes, size: int, root: bytes) -> str:
    try:
        proved = verify_receipt(receipt, statement, identity.log_public, identity.origin)
    except FormatError as error:
        return str(error)
    if proved.size == size and size and proved.root != root:
        return f"its tree of {size} entries is another than the checkpoint's"
    return ""


def _prefix(detail: str) -> set[bytes]:
    try:
        return {bytes.fromhex(detail)}
    except ValueError:
        return set()
