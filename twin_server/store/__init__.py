"""The seam to storage: what the server asks of a store, and the table of stores by URL scheme.

A store keeps, per enterprise, one Merkle log with its bodies and everything computed from them in the same
transaction, and apart from that the accounts of the server. Reads run outside the event loop and see whole
transactions. Writes of one enterprise happen one after the other. A store that cannot keep its word raises
StoreError, and the process stops.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Protocol, TypeVar

from twin_server.store.rows import (
    Acknowledgement,
    AggregateBlock,
    Aggregates,
    Arrivals,
    Audit,
    Chain,
    Checkpoint,
    Enterprise,
    Gateway,
    Person,
    Session,
    StoredBatch,
    StoredDocument,
    StoredEvent,
    Token,
    User,
    Voucher,
)
from twin_wire.errors import ConfigError

T = TypeVar("T")
OnCommit = Callable[[str, list[StoredBatch]], None]  # (enterprise, entries just committed), called on the loop

STORES = {"sqlite": "twin_server.store.sqlite", "postgresql": "twin_server.store.postgres"}
EXTRAS = {"postgresql": "postgres"}  # what to install for a scheme


class Transaction(Protocol):
    """The write side, used inside `Store.write` only; plain calls, because it runs in the writer's thread."""

    def size(self) -> int:
        """Return the number of entries in the log."""

    def statements(self, first: int, limit: int) -> list[bytes]:
        """Return the statements of committed entries with index >= first, in log order."""

    def gateway(self, gateway: str) -> Gateway | None:
        """Return one gateway, as this transaction sees it."""

    def put_gateway(self, gateway: Gateway) -> None:
        """Insert or replace one gateway."""

    def chain(self, gateway: str, epoch: int) -> Chain | None:
        """Return one epoch of a gateway."""

    def put_chain(self, chain: Chain) -> None:
        """Insert or replace one epoch of a gateway."""

    def chains(self, gateway: str) -> list[Chain]:
        """Return all epochs of a gateway, oldest first."""

    def statement(self, gateway: str, epoch: int, seq: int) -> tuple[int, bytes] | None:
        """Return index and bytes of the undisputed statement with this number."""

    def tile(self, level: int, n: int) -> bytes | None:
        """Return one full tile."""

    def has_body(self, digest: bytes) -> bool:
        """Tell whether a body is here."""

    def append(self, batch: StoredBatch) -> None:
        """Add one entry, its body under its digest, its time index; handed to `on_commit` after the commit."""

    def put_tile(self, level: int, n: int, hashes: bytes, root: bytes) -> None:
        """Keep one full tile of 256 hashes and the root over them."""

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a size that was signed."""

    def put_body(self, digest: bytes, body: bytes) -> None:
        """Keep a body of a statement already in the log."""

    def put_document(self, document: StoredDocument) -> None:
        """Keep a manifest or structure version."""

    def document(self, prefix: bytes) -> StoredDocument | None:
        """Return the manifest or structure whose digest begins with these bytes."""

    def add_aggregates(self, gateway: str, blocks: Sequence[AggregateBlock]) -> None:
        """Merge a batch's aggregates into the buckets."""

    def add_arrivals(self, rows: Sequence[Arrivals]) -> None:
        """Merge a batch's arrival counts."""

    def put_event(self, event: StoredEvent) -> None:
        """Insert a condition or replace an older word about it."""

    def acknowledge(self, row: Acknowledgement) -> None:
        """Keep an acknowledgement."""

    def audit(self, row: Audit) -> None:
        """Keep an audit row."""

    def note(self, name: str) -> bytes | None:
        """Return a small named value."""

    def put_note(self, name: str, value: bytes) -> None:
        """Keep a small named value (history id, boot counter, a saved state)."""


class LogReads(Protocol):
    """Reading the log itself."""

    async def size(self, enterprise: str) -> int:
        """Return the number of committed entries."""

    async def entry(self, enterprise: str, index: int) -> StoredBatch | None:
        """Return one entry with its body."""

    async def entries(
        self, enterprise: str, since_index: int, limit: int, without: str = "", bodies: bool = True
    ) -> list[StoredBatch]:
        """Return entries with index >= since_index in log order, those of kind `without` left out."""

    async def find(self, enterprise: str, gateway: str, epoch: int, seq: int) -> StoredBatch | None:
        """Return the undisputed entry with this number."""

    async def tile(self, enterprise: str, level: int, n: int) -> bytes | None:
        """Return one full tile."""

    async def tile_roots(self, enterprise: str, level: int, n_from: int, n_to: int) -> list[bytes]:
        """Return the roots of full tiles [n_from, n_to)."""

    async def checkpoint_at(self, enterprise: str, index: int) -> Checkpoint | None:
        """Return the first signed size that covers an entry."""

    async def checkpoints(self, enterprise: str, from_size: int, limit: int) -> list[Checkpoint]:
        """Return signed sizes >= from_size, rising."""

    async def body(self, enterprise: str, digest: bytes) -> bytes | None:
        """Return a body by its SHA-256."""


class HistoryReads(Protocol):
    """What the twin, its history and its pages read."""

    def batches(
        self, enterprise: str, from_us: int, to_us: int, gateway: str = "", kind: str = "data"
    ) -> AsyncIterator[StoredBatch]:
        """Yield undisputed entries that touch [from_us, to_us), slot of ten minutes after slot; kind "" for all."""

    async def numbered(self, enterprise: str, gateway: str, epoch: int, first: int, last: int) -> list[int]:
        """Return the log indices of a gateway's undisputed statements numbered first to last, by number."""

    async def latest(self, enterprise: str, gateway: str, before_us: int) -> StoredBatch | None:
        """Return the data batch with the greatest last event time below `before_us`."""

    async def aggregates(
        self, enterprise: str, gateway: str, point: str, level_us: int, from_us: int, to_us: int
    ) -> Aggregates:
        """Return one point's buckets that begin in [from_us, to_us); level_us is one of LEVELS_US."""

    async def arrivals(self, enterprise: str, from_us: int, to_us: int) -> list[Arrivals]:
        """Return arrival counts per gateway and minute of event time in [from_us, to_us)."""

    async def gateways(self, enterprise: str) -> list[Gateway]:
        """Return all gateways of an enterprise."""

    async def chains(self, enterprise: str) -> list[Chain]:
        """Return every epoch of every gateway, with its key."""

    async def documents(self, enterprise: str, kind: str, gateway: str = "") -> list[StoredDocument]:
        """Return all versions of "manifest" or "structure", oldest first by valid_from_us."""

    async def document(self, enterprise: str, prefix: bytes) -> StoredDocument | None:
        """Return the version whose digest begins with these (8 to 32) bytes."""

    async def events(
        self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62, active: bool = False
    ) -> list[StoredEvent]:
        """Return conditions that touch [from_us, to_us), newest begin first; only those without end if `active`."""

    async def acknowledgements(self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62) -> list[Acknowledgement]:
        """Return acknowledgements of conditions that begin in [from_us, to_us), oldest first."""

    async def note(self, enterprise: str, name: str) -> bytes | None:
        """Return a small named value."""


class PeopleDirectory(Protocol):
    """The only place with names: everything else holds opaque tags."""

    async def people(self, enterprise: str) -> list[Person]:
        """Return all rows."""

    async def person(self, enterprise: str, tag: str) -> Person | None:
        """Return one row."""

    async def put_person(self, enterprise: str, person: Person) -> None:
        """Insert or replace one row."""

    async def erase_person(self, enterprise: str, tag: str) -> bool:
        """Erase one row so that no byte of it stays in the store's files; return whether there was one."""


class Accounts(Protocol):
    """Who may do what: small tables of the whole server."""

    async def add_enterprise(self, enterprise: Enterprise) -> None:
        """Add an enterprise and its empty log; ConfigError when the id is taken."""

    async def enterprises(self) -> list[Enterprise]:
        """Return all enterprises by id."""

    async def owner(self, gateway: str) -> str | None:
        """Return the enterprise a gateway belongs to."""

    async def put_voucher(self, voucher: Voucher) -> None:
        """Keep a voucher; it replaces an unused one of the same gateway and claims the gateway for its enterprise."""

    async def voucher(self, gateway: str) -> Voucher | None:
        """Return the newest voucher of a gateway."""

    async def put_user(self, user: User) -> None:
        """Insert or replace a user by id; ConfigError when the name belongs to another."""

    async def users(self) -> list[User]:
        """Return all users by name."""

    async def delete_user(self, user: str) -> None:
        """Delete a user and its sessions."""

    async def put_session(self, session: Session, now_us: int) -> None:
        """Keep a session, drop expired ones."""

    async def session(self, cookie_hash: bytes) -> Session | None:
        """Return a session by the hash of its cookie."""

    async def delete_session(self, cookie_hash: bytes) -> None:
        """Delete a session."""

    async def put_token(self, token: Token) -> None:
        """Insert or replace a token."""

    async def tokens(self) -> list[Token]:
        """Return all tokens."""

    async def delete_token(self, token: str) -> None:
        """Delete a token."""


class Store(LogReads, HistoryReads, PeopleDirectory, Accounts, Protocol):
    """Everything the server keeps."""

    shared: bool  # other processes may write to the same logs meanwhile

    async def write(self, enterprise: str, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one durable transaction; what it raises undoes it. Returns after the commit and `on_commit`.

        A shared store may run `work` again after a conflict, and raises UplinkError when its server is out of reach
        or gave no word of the commit: the caller has to send the same again.
        """

    def subscribe(self, on_commit: OnCommit) -> None:
        """Call `on_commit` on the event loop after every commit that appended entries, by whichever process."""

    async def audit(self, enterprise: str, row: Audit) -> None:
        """Keep an audit row; enterprise "" is the server itself."""

    async def audits(self, enterprise: str, from_us: int, to_us: int) -> list[Audit]:
        """Return audit rows with from_us <= at_us < to_us, oldest first."""

    async def close(self) -> None:
        """Finish the writes under way and close."""


def open_store(url: str, options: Mapping[str, str] | None = None) -> Store:
    """Open the store named by `url` ("sqlite:DIR"); ConfigError for an unknown scheme or a missing extra."""
    module, rest = _module(url)
    store: Store = module.open_store(rest, dict(options or {}))
    return store


def is_shared(url: str) -> bool:
    """Tell whether several processes may use this store at once; ConfigError as for `open_store`."""
    return bool(_module(url)[0].SHARED)


def migrate(url: str, citus: bool) -> list[str]:
    """Make the tables of a store that does not make its own; return what was done. ConfigError when it cannot."""
    module, rest = _module(url)
    if not hasattr(module, "migrate"):
        raise ConfigError(f"the store {url.partition(':')[0]!r} makes its own tables when it is opened")
    done: list[str] = module.migrate(rest, citus)
    return done


def _module(url: str) -> tuple[ModuleType, str]:
    scheme, separator, rest = url.partition(":")
    if not separator or scheme not in STORES:
        raise ConfigError(
            f"no store for {url!r}", f"known schemes: {', '.join(STORES)}", (("store", "unknown scheme"),)
        )
    try:
        return import_module(STORES[scheme]), rest
    except ImportError as cause:
        hint = f"install mine-twin[{EXTRAS[scheme]}]" if scheme in EXTRAS else ""
        raise ConfigError(f"the store {scheme!r} needs a package that is not installed: {cause}", hint) from cause
