"""Second parties: who may countersign, their signatures on record, and which entries only one party stands for."""

import asyncio
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import aiohttp
import msgspec
from aiohttp import web

from twin_server.context import LEDGER, STORE
from twin_server.keys import load_key, make_key
from twin_server.log import Appender
from twin_server.params import Call, answer, bad, body
from twin_server.store import Store
from twin_wire.countersign import (
    Countersignature,
    Party,
    check_countersignature,
    countersign,
    countersign_record,
    party_record,
    read_countersignature,
    read_party,
)
from twin_wire.errors import ConfigError, FormatError, UplinkError
from twin_wire.keys import PublicKey
from twin_wire.note import parse_vkey
from twin_wire.records import encode_record
from twin_wire.statement import decode_envelopes, read

WANTED = ("enrol", "manifest", "structure", "mark", "revoke", "commissioning", "party")  # what a second party looks at
ENTRY_BYTES_MAX = 2 << 20
_HEX = re.compile(r"[0-9a-f]{128}")
_KEY = re.compile(r"[0-9a-f]{64}")


class PartyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may countersign from now on; `public` as 64 hex digits, handed over by another way than this server."""

    party: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
    role: str
    public: str


class CountersignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signature over one entry; 128 hex digits."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    party: Annotated[str, msgspec.Meta(max_length=64)]
    signature: str


async def parties_of(store: Store, enterprise: str, origin: str) -> dict[str, Party]:
    """Return who may countersign, as the log itself says; a later word about the same id replaces the earlier."""
    found: dict[str, Party] = {}
    async for record in _records(store, enterprise, origin, "party"):
        party = read_party(record)
        found[party.party] = party
    return found


async def countersigners(store: Store, enterprise: str, origin: str) -> dict[int, list[str]]:
    """Return by entry which parties countersigned it, as the log says; the signatures were judged when they came."""
    found: dict[int, list[str]] = {}
    async for record in _records(store, enterprise, origin, "countersign"):
        made = read_countersignature(record)
        found.setdefault(made.index, []).append(made.party)
    return found


async def _records(store: Store, enterprise: str, origin: str, kind: str) -> AsyncIterator[bytes]:
    since = 0
    while page := await store.entries(enterprise, since, 1000, without="data"):
        for entry in page:
            if entry.kind == kind and entry.gateway == origin and entry.body is not None and not entry.disputed:
                yield entry.body
        since = page[-1].index + 1


async def add_party(call: Call) -> web.Response:
    """Let a key countersign entries of this log; it is a statement of the log, to be countersigned like any other."""
    wish = await body(call, PartyBody)
    try:
        if not _KEY.fullmatch(wish.public):
            raise FormatError("public: not 64 hex digits")
        party = Party(wish.party, wish.role, PublicKey(bytes.fromhex(wish.public)))
        read_party(encode_record(party_record(party, call.caller.id)))
    except FormatError as fault:
        raise bad("body", str(fault)) from None
    index = await call.app[LEDGER].append_statement(call.enterprise, "party", party_record(party, call.caller.id))
    return answer({"index": index})


async def post_countersignature(call: Call) -> web.Response:
    """Take a second party's signature over an entry into the log, once it holds under that party's key."""
    wish = await body(call, CountersignBody)
    store, ledger = call.app[STORE], call.app[LEDGER]
    origin = (await ledger.open(call.enterprise)).origin
    party = (await parties_of(store, call.enterprise, origin)).get(wish.party)
    entry = await store.entry(call.enterprise, wish.index)
    if party is None or entry is None or entry.kind not in WANTED:
        raise bad("body", "no such party, or no entry that a second party signs")
    try:
        if not _HEX.fullmatch(wish.signature):
            raise FormatError("signature: not 128 hex digits")
        made = Countersignature(wish.index, wish.party, bytes.fromhex(wish.signature))
        digest = sha256(entry.statement).digest()
        check_countersignature(party.public, made.signature, origin, wish.index, digest)
    except FormatError as fault:
        raise bad("body", str(fault)) from None
    if wish.party in (await countersigners(store, call.enterprise, origin)).get(wish.index, []):
        return answer({"index": wish.index, "party": wish.party})

    def job(appender: Appender) -> int:
        return appender.state("countersign", countersign_record(made))

    await ledger.run(call.enterprise, job)
    return answer({"index": wish.index, "party": wish.party})


def party_key(path: Path) -> tuple[PublicKey, bool]:
    """Return the public half of a party's key file, made if it is not there, and whether it is new."""
    new = not path.exists()
    key = make_key(path) if new else load_key(path)
    return key.public, new


async def sign_entry(server: str, token: str, enterprise: str, vkey: str, party: str, key: Path, index: int) -> str:
    """Fetch an entry, sign it as a party and hand the signature in; return what was signed in one line."""
    origin, _ = parse_vkey(vkey)
    base = f"{server.rstrip('/')}/api/v1/enterprises/{enterprise}"
    timeout = aiohttp.ClientTimeout(30)
    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=timeout) as session:
            async with session.get(f"{base}/envelopes/{index}") as answered:
                data = await answered.content.read(ENTRY_BYTES_MAX)
                if answered.status != 200:
                    raise UplinkError(f"{base}/envelopes/{index}: HTTP {answered.status}")
            [(raw, _)] = decode_envelopes(data, 1, ENTRY_BYTES_MAX)
            statement = read(raw)
            if statement.issuer != origin:
                raise ConfigError("the entry is of another log than the key you gave")
            loaded = await asyncio.to_thread(load_key, key)
            signature = countersign(loaded, origin, index, sha256(raw).digest()).hex()
            wish = {"index": index, "party": party, "signature": signature}
            async with session.post(f"{base}/countersignatures", json=wish) as answered:
                said = await answered.json(content_type=None)
                if answered.status != 200:
                    raise UplinkError(f"{base}: {said.get('detail', answered.status)}")
    except (aiohttp.ClientError, TimeoutError, ValueError) as cause:
        raise UplinkError(f"{base}: {cause}") from cause
    return f"entry {index}: {statement.kind} of {statement.subject}, epoch {statement.chain.epoch}"
