"""Checks a log from its bytes alone: form, keys, signatures, chains, bodies, tree, anchors; names every fault. Pure.

What the log says decides: keys come from its enrol entries, gaps from its gap records, times of receipt from the
server's clock statements. Nothing is believed because a server said so beside the log.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from hashlib import sha256
from typing import NamedTuple

from twin_server.said import Said, Untrue
from twin_server.tree import Tree
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, kid_text
from twin_wire.merkle import leaf_hash
from twin_wire.receipt import verify_receipt
from twin_wire.statement import ZERO_HASH, Statement, check, check_successor, read, statement_hash
from twin_wire.voucher import read_enrol_body

HASH_BYTES = 32
Run = tuple[str, int, int, int]  # gateway, epoch, first and last number


class Seen(NamedTuple):
    """One entry as a source gives it."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    raw: bytes
    body: bytes | None
    wanted: bool = True  # False: the body was not asked for, so its absence says nothing
    receipt: bytes | None = None


class Fault(NamedTuple):
    """Something that is not as it has to be, with the batch it concerns."""

    kind: str  # altered, missing, duplicate, contradiction, chain, key, signature, form, absent, anchor, root, …
    index: int  # type: ignore[assignment]  # -1 when it has none
    gateway: str
    epoch: int
    seq: int
    text: str


class Epoch:
    """One epoch of one subject while its numbers come in, in any order."""

    __slots__ = ("ahead", "hashes", "head", "kid", "public")

    def __init__(self, public: PublicKey) -> None:
        self.public = public
        self.hashes: dict[int, bytes] = {}  # every number seen
        self.head: Statement | None = None  # last with nothing missing below
        self.ahead: dict[int, tuple[int, Statement]] = {}  # seen above a hole, with their index


class Auditor:
    """Takes entries in rising order of index and collects faults.

    `runs` None: every entry from 0 on will come. Otherwise a selection comes, and in these runs of numbers
    (gateway, epoch, first, last) none may be missing.
    """

    def __init__(
        self,
        origin: str,
        log_public: PublicKey,
        signatures: Executor,
        runs: Sequence[Run] | None = None,
        witnesses: Sequence[str] = (),
    ) -> None:
        self.origin = origin
        self.whole = runs is None
        self._runs = runs or ()
        self.faults: list[Fault] = []
        self.counts = dict.fromkeys(("entries", "bodies", "signatures", "receipts", "late", "given_up", "notes"), 0)
        self.tree = Tree()
        self.said = Said(origin, log_public, witnesses, self.root_at if self.whole else None)
        self.tiles: dict[tuple[int, int], bytes] = {}  # SHA-256 of every full tile rebuilt
        self._log_public = log_public
        self._signatures = signatures
        self._roots = bytearray(self.tree.root())  # root of every size, for anchors
        self._epochs: dict[tuple[str, int], Epoch] = {(origin, 0): Epoch(log_public)}
        self._held: tuple[int, Statement] | None = None  # until the next entry says whether it is disputed
        self._given_up: list[tuple[int, Statement]] = []

    # -- one chunk after the other

    def take(self, chunk: Sequence[Seen]) -> None:
        """Check a chunk of entries; signatures are checked in threads."""
        work: list[tuple[int, Statement, PublicKey]] = []
        for seen in chunk:
            statement = self._take_one(seen)
            if statement is None:
                continue
            public = self._key_of(seen, statement)
            if public is not None:
                work.append((seen.index, statement, public))
                self._hold(seen.index, statement)
        for (index, statement, _), fault in zip(work, self._signatures.map(_signature_fault, work), strict=True):
            self.counts["signatures"] += 1
            if fault:
                self._fault("signature", index, statement, fault)

    def root_at(self, size: int) -> bytes | None:
        """Return the root rebuilt at a size, None when that size was not reached."""
        at = size * HASH_BYTES
        return bytes(self._roots[at : at + HASH_BYTES]) if at < len(self._roots) else None

    def finish(self) -> None:
        """Name what is still open: numbers that never came, bodies given up without a record."""
        self._release()
        self.counts["late"] = len(self.said.late)
        runs = (
            [(*key, 0, max(book.hashes, default=-1)) for key, book in self._epochs.items()]
            if self.whole
            else self._runs
        )
        for gateway, epoch, first, last in sorted(runs):
            held = self._epochs.get((gateway, epoch))
            for low, high in _holes(first, last, held.hashes if held else ()):
                if not self.said.explains(gateway, epoch, low, high):
                    text = f"statement {low}" if low == high else f"statements {low} to {high}"
                    self._add(
                        Fault("missing", -1, gateway, epoch, low, f"{text} not in the log, no gap record says why")
                    )
        if not self.whole:
            self._check_joints()
        for index, statement in self._given_up:
            chain = statement.chain
            if self.said.explains(statement.subject, chain.epoch, chain.seq, chain.seq):
                self.counts["given_up"] += 1
            else:
                self._fault("absent", index, statement, "its body is not here, and no gap record says why")

    # -- parts

    def _take_one(self, seen: Seen) -> Statement | None:
        self.counts["entries"] += 1
        if self.whole:
            for level, n, hashes, _ in self.tree.append(leaf_hash(seen.raw)):
                self.tiles[level, n] = sha256(hashes).digest()
            self._roots += self.tree.root()
        if not seen.raw:
            self._add(Fault("missing", seen.index, "", 0, 0, "the entry is not there"))
            return None
        try:
            statement = read(seen.raw)
        except FormatError as fault:
            self._add(Fault("form", seen.index, "", 0, 0, f"entry is not a statement: {fault}"))
            return None
        if statement.issuer != self.origin:
            self._fault("form", seen.index, statement, f"statement for the log {statement.issuer!r}")
        self._check_body(seen, statement)
        self._check_anchor(seen.index, statement)
        if seen.receipt is not None:
            self._check_receipt(seen, statement)
        return statement

    def _check_body(self, seen: Seen, statement: Statement) -> None:
        if seen.body is None:
            if seen.wanted:
                self._given_up.append((seen.index, statement))
            return
        self.counts["bodies"] += 1
        if sha256(seen.body).digest() != statement.digest:
            self._fault("altered", seen.index, statement, "the body is not the one that was signed")
            return
        try:
            self.said.take(seen.index, statement, seen.body)
        except Untrue as fault:
            self._fault(fault.kind, seen.index, statement, str(fault))

    def _check_anchor(self, index: int, statement: Statement) -> None:
        chain = statement.chain
        if not self.whole or not chain.anchor_size:
            return
        if chain.anchor_size > index or self.root_at(chain.anchor_size) != chain.anchor_root:
            self._fault(
                "anchor", index, statement, f"it was sealed on a log of {chain.anchor_size} that is not this one"
            )

    def _check_receipt(self, seen: Seen, statement: Statement) -> None:
        assert seen.receipt is not None
        try:
            proved = verify_receipt(seen.receipt, seen.raw, self._log_public, self.origin)
        except FormatError as fault:
            self._fault("receipt", seen.index, statement, str(fault))
            return
        self.counts["receipts"] += 1
        if proved.index != seen.index:
            self._fault("receipt", seen.index, statement, f"the receipt is for entry {proved.index}")

    def _key_of(self, seen: Seen, statement: Statement) -> PublicKey | None:
        """Return the key that has to have signed; an enrol entry makes its own known."""
        key = (statement.subject, statement.chain.epoch)
        if key not in self._epochs and statement.kind == "enrol" and seen.body is not None:
            try:
                enrolment = read_enrol_body(seen.body)
            except FormatError as fault:
                self._fault("key", seen.index, statement, f"enrol record: {fault}")
                return None
            if (enrolment.gateway, enrolment.epoch) != key or enrolment.log_public != self._log_public:
                self._fault("key", seen.index, statement, "the enrol record is for another gateway, epoch or log")
                return None
            self._epochs[key] = Epoch(enrolment.public)
        book = self._epochs.get(key)
        if book is None:
            self._fault("key", seen.index, statement, f"key {kid_text(statement.kid)} was not enrolled before")
            return None
        if key in self.said.revoked:
            self._fault("revoked", seen.index, statement, f"its key was revoked by entry {self.said.revoked[key]}")
        return book.public

    def _hold(self, index: int, statement: Statement) -> None:
        """Put the entry before this one into its chain, unless this one is the server's word that it is disputed."""
        if self._held is not None and statement.kind == "fork" and statement.subject == self.origin:
            before, disputed = self._held
            self._held = None
            self._fault("contradiction", before, disputed, "a second word of the gateway about what it had said before")
        self._release()
        self._held = (index, statement)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        index, statement = held
        book, chain = self._epochs[statement.subject, statement.chain.epoch], statement.chain
        fresh = statement_hash(statement.raw)
        known = book.hashes.get(chain.seq)
        if known is not None:
            same = known == fresh
            text = "the same statement is in the log twice" if same else "another statement has this number"
            self._fault("duplicate" if same else "contradiction", index, statement, text)
            return
        book.hashes[chain.seq] = fresh
        book.ahead[chain.seq] = held
        self._walk(book)

    def _walk(self, book: Epoch) -> None:
        """Move the head over everything that now joins, checking each joint."""
        if not self.whole:
            return  # a selection has holes everywhere: its joints are checked at the end
        while (nxt := book.ahead.pop(0 if book.head is None else book.head.chain.seq + 1, None)) is not None:
            index, current = nxt
            try:
                if book.head is not None:
                    check_successor(book.head, current)
                else:
                    self._check_first(current)
            except ProofError as fault:
                self._fault("chain", index, current, str(fault))
            book.head = current

    def _check_joints(self) -> None:
        """Check every pair of neighbouring numbers of a selection."""
        for book in self._epochs.values():
            for seq, (index, statement) in sorted(book.ahead.items()):
                before = book.ahead.get(seq - 1)
                try:
                    if before is not None:
                        check_successor(before[1], statement)
                except ProofError as fault:
                    self._fault("chain", index, statement, str(fault))

    def _check_first(self, first: Statement) -> None:
        """Check how an epoch begins: at nothing, or at the last statement of the one before."""
        before = self._epochs.get((first.subject, first.chain.epoch - 1))
        if first.chain.prev == ZERO_HASH:
            self.counts["notes"] += before is not None  # a new box knows nothing of the old one's chain
        elif before is None or before.head is None or statement_hash(before.head.raw) != first.chain.prev:
            raise ProofError(f"epoch {first.chain.epoch} does not continue the one before")

    def _fault(self, kind: str, index: int, statement: Statement, text: str) -> None:
        self._add(Fault(kind, index, statement.subject, statement.chain.epoch, statement.chain.seq, text))

    def _add(self, fault: Fault) -> None:
        self.faults.append(fault)


def _signature_fault(work: tuple[int, Statement, PublicKey]) -> str:
    _, statement, public = work
    try:
        check(statement, public)
    except ProofError as fault:
        return str(fault)
    return ""


def _holes(first: int, last: int, numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the ranges within [first, last] that `numbers` leave out."""
    found: list[tuple[int, int]] = []
    due = first
    for number in sorted(number for number in numbers if first <= number <= last):
        if number > due:
            found.append((due, number - 1))
        due = number + 1
    if due <= last:
        found.append((due, last))
    return found
