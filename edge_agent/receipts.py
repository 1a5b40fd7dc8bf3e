"""Receipts that somebody waits for: where in the server's log an alarm test or a certificate has come to lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edge_agent.identity import Identity
from twin_wire.errors import FormatError
from twin_wire.exchange import Verdict
from twin_wire.receipt import verify_receipt

KEPT = 16


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of ours by its number; `index` and `size` are −1 until its receipt was verified."""

    what: str  # alarm_test or commissioning
    epoch: int
    seq: int
    at_us: int
    index: int = -1
    size: int = -1


class Receipts:
    """The newest statements that were asked for; `documents` is what `document` gave before a restart."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.asked: tuple[Asked, ...] = tuple(msgspec.convert(documents.get("asked", []), list[Asked]))

    def document(self) -> dict[str, Any]:
        """Return everything as a state document."""
        return {"asked": msgspec.to_builtins(self.asked)}

    def ask(self, what: str, epoch: int, seq: int, at_us: int) -> Asked:
        """Wait for the receipt of a statement from now on."""
        asked = Asked(what=what, epoch=epoch, seq=seq, at_us=at_us)
        self.asked = (*self.asked[1 - KEPT :], asked)
        return asked

    def newest(self, what: str) -> Asked | None:
        """Return the newest of a kind."""
        return next((each for each in reversed(self.asked) if each.what == what), None)

    def learn(self, identity: Identity, verdicts: Sequence[Verdict], sent: Mapping[tuple[int, int], bytes]) -> bool:
        """Note the places that receipts prove; return whether there was one that somebody waited for."""
        waiting = {(each.epoch, each.seq): each for each in self.asked if each.index < 0}
        found: dict[tuple[int, int], Asked] = {}
        for verdict in verdicts if waiting else ():
            key = verdict.epoch, verdict.seq
            if verdict.receipt is None or key not in waiting or key not in sent:
                continue
            try:
                proved = verify_receipt(verdict.receipt, sent[key], identity.log_public, identity.origin)
            except FormatError:  # judged and told by the uplink
                continue
            found[key] = msgspec.structs.replace(waiting[key], index=proved.index, size=proved.size)
        self.asked = tuple(found.get((each.epoch, each.seq), each) for each in self.asked)
        return bool(found)
