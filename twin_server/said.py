"""What a log's own records say: gaps, times of receipt, revocations, witnesses, second parties. Pure."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from twin_server.store.rows import LATE_US
from twin_wire.countersign import check_countersignature, read_countersignature, read_party
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey
from twin_wire.note import checkpoint_text, read_cosignatures, vkey
from twin_wire.records import decode_record
from twin_wire.statement import Statement

OWN = ("genesis", "clock", "revoke", "witness", "party", "countersign")  # only the log itself can say these


class Untrue(ProofError):
    """A record that says what the rest of the log does not bear out; `kind` is the fault's."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Said:
    """Records in rising order of index; `root_at` gives the rebuilt root of a size, None where only a part is seen."""

    def __init__(
        self,
        origin: str,
        log_public: PublicKey,
        witnesses: Sequence[str],
        root_at: Callable[[int], bytes | None] | None,
    ) -> None:
        self.simulated = False
        self.late: list[tuple[str, int, int]] = []  # gateway, epoch, seq
        self.revoked: dict[tuple[str, int], int] = {}  # by gateway and epoch, the entry that says so
        self.suspect: list[tuple[str, int, int, int]] = []  # gateway, epoch, first and last entry
        self.witnessed: list[tuple[int, int, str]] = []  # entries below the size existed by the time in s, says who
        self.countersigned: list[tuple[int, str]] = []  # entry and second party
        self._origin = origin
        self._log_public = log_public
        self._witnesses = tuple(witnesses)
        self._root_at = root_at
        self._gaps: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._parties: dict[str, PublicKey] = {}
        self._hashes: dict[int, bytes] = {}  # of entries that a second party may sign
        self._ends_ms: dict[int, tuple[str, int, int, int]] = {}  # data entries without a time of receipt yet

    def take(self, index: int, statement: Statement, body: bytes) -> None:
        """Take an entry whose body is the one that was sealed; Untrue for what cannot be so."""
        chain = statement.chain
        if statement.kind == "data":
            self._ends_ms[index] = (statement.subject, chain.epoch, chain.seq, chain.t1_ms)
            return
        self._hashes[index] = sha256(statement.raw).digest()
        if statement.kind != "gap" and (statement.kind not in OWN or statement.subject != self._origin):
            return
        try:
            self._read(index, statement, decode_record(body), body)
        except Untrue:
            raise
        except FormatError as fault:
            raise Untrue("form", f"record: {fault}") from fault

    def explains(self, gateway: str, epoch: int, low: int, high: int) -> bool:
        """Tell whether gap records explain all of these numbers."""
        left = low
        for first, last in sorted(self._gaps.get((gateway, epoch), [])):
            if first <= left <= last:
                left = last + 1
        return left > high

    def _read(self, index: int, statement: Statement, record: dict[str, object], body: bytes) -> None:
        kind = statement.kind
        if kind == "genesis":
            self.simulated = record.get("simulated") is True
            if index or record.get("log_vkey") != vkey(self._origin, self._log_public):
                raise Untrue("key", "the genesis entry names another key, or is not the first entry")
        elif kind == "gap":
            self._gap(statement.subject, record)
        elif kind == "clock":
            self._receive_times(record)
        elif kind == "revoke":
            self._revoke(index, record)
        elif kind == "witness":
            self._witness(index, record)
        elif kind == "party":
            party = read_party(body)
            self._parties[party.party] = party.public
        else:
            self._countersign(body)

    def _gap(self, gateway: str, record: dict[str, object]) -> None:
        epoch, ranges = record.get("epoch"), record.get("ranges")
        if isinstance(epoch, int) and isinstance(ranges, list):
            said = self._gaps.setdefault((gateway, epoch), [])
            said += [(r[0], r[1]) for r in ranges if isinstance(r, list) and _is_range(r)]

    def _receive_times(self, record: dict[str, object]) -> None:
        first, times_ms = record.get("from"), record.get("received_ms")
        if not isinstance(first, int) or not isinstance(times_ms, list):
            return
        for index, time_ms in enumerate(times_ms, first):
            known = self._ends_ms.pop(index, None)
            if known is not None and isinstance(time_ms, int) and (time_ms - known[3]) * 1000 > LATE_US:
                self.late.append(known[:3])

    def _revoke(self, index: int, record: dict[str, object]) -> None:
        gateway, epoch, first = record.get("gateway"), record.get("epoch"), record.get("suspect_from")
        if not isinstance(gateway, str) or not isinstance(epoch, int):
            return
        self.revoked.setdefault((gateway, epoch), index)
        if isinstance(first, int) and 0 <= first < index:
            self.suspect.append((gateway, epoch, first, index))

    def _witness(self, index: int, record: dict[str, object]) -> None:
        size, root, lines = record.get("size"), record.get("root"), record.get("lines")
        if not isinstance(size, int) or not isinstance(root, bytes) or not isinstance(lines, list):
            raise Untrue("form", "witness record without a head")
        try:
            note = f"{checkpoint_text(self._origin, size, root)}\n" + "".join(f"{line}\n" for line in lines)
            found = read_cosignatures(note, self._witnesses)
        except FormatError as fault:
            raise Untrue("witness", str(fault)) from fault
        if self._root_at is not None and (size > index or self._root_at(size) != root):
            raise Untrue("witness", f"witnesses signed a log of {size} that is not this one")
        self.witnessed += [(size, each.time_s, each.name) for each in found]

    def _countersign(self, body: bytes) -> None:
        made = read_countersignature(body)
        entry, public = self._hashes.get(made.index), self._parties.get(made.party)
        if entry is None:
            return  # in a selection the entry may not be here
        try:
            if public is None:
                raise ProofError(f"{made.party!r} is no party of this log")
            check_countersignature(public, made.signature, self._origin, made.index, entry)
        except FormatError as fault:
            raise Untrue("countersign", str(fault)) from fault
        self.countersigned.append((made.index, made.party))


def _is_range(pair: list[object]) -> bool:
    return len(pair) == 2 and all(isinstance(n, int) for n in pair)
