"""Manifests and structure documents by digest, kept open; what a stored batch says, decoded with them."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from twin_server.query import Valid
from twin_server.store import Store
from twin_server.store.rows import StoredBatch, StoredDocument
from twin_server.twin import Arrival, Site
from twin_wire.body import PREFIX_BYTES, body_manifest, decode_body
from twin_wire.errors import FormatError
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.readings import Batch
from twin_wire.structure import Structure, open_structure

K = TypeVar("K")
V = TypeVar("V")
SITES_MAX = 1_000  # held open over all enterprises; a manifest changes a few times a year


class Opened(NamedTuple):
    """A data entry with its columns and the manifest they refer to."""

    entry: StoredBatch
    batch: Batch
    site: Site


class Sites:
    """Opens each manifest and structure once; bodies themselves are not kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sites: dict[tuple[str, bytes], Site] = {}
        self._structures: dict[tuple[str, str], Structure] = {}

    async def site(self, enterprise: str, key: bytes) -> Site | None:
        """Return the manifest whose digest begins with `key`, with its structure if that is here."""
        held = self._sites.get((enterprise, key[:PREFIX_BYTES]))
        if held is not None:
            return held
        document = await self._store.document(enterprise, key)
        if document is None or document.kind != "manifest":
            return None
        try:
            manifest = read_manifest(document.body)
        except FormatError:
            return None  # ingest took it into the log as evidence; it names no points
        site = Site(document.digest[:PREFIX_BYTES], manifest, await self.structure(enterprise, manifest.structure))
        _keep(self._sites, (enterprise, site.key), site)
        return site

    def renew(self, enterprise: str, structure: str) -> None:
        """Let go of manifests that were opened before their structure (hex digest) was here."""
        for key, site in list(self._sites.items()):
            if key[0] == enterprise and site.structure is None and site.manifest.structure == structure:
                del self._sites[key]

    async def structure(self, enterprise: str, digest: str) -> Structure | None:
        """Return a structure by the hex digest of its body, None while it is not here."""
        held = self._structures.get((enterprise, digest))
        if held is not None or not digest:
            return held
        document = await self._store.document(enterprise, bytes.fromhex(digest))
        if document is None or document.kind != "structure":
            return None
        try:
            structure = open_structure(document.body)
        except FormatError:
            return None
        _keep(self._structures, (enterprise, digest), structure)
        return structure

    async def open(self, enterprise: str, entry: StoredBatch) -> Opened | None:
        """Return a data entry decoded; None when its body is gone, unreadable or of an unknown manifest."""
        site = await self._site_of(enterprise, entry)
        return next(iter(_decoded([(entry, site)])), None) if site else None

    async def open_many(self, enterprise: str, entries: Sequence[StoredBatch]) -> list[Opened]:
        """Return what can be opened of many entries, in their order, decoded in a thread."""
        pairs = []
        for entry in entries:
            site = await self._site_of(enterprise, entry)
            if site is not None:
                pairs.append((entry, site))
        return await asyncio.to_thread(_decoded, pairs)

    async def _site_of(self, enterprise: str, entry: StoredBatch) -> Site | None:
        if entry.kind != "data" or entry.disputed or not entry.readable or entry.body is None:
            return None
        try:
            return await self.site(enterprise, body_manifest(entry.body))
        except FormatError:
            return None  # damaged in the store; `verify` names it

    async def in_force(self, enterprise: str, gateway: str, at_us: int) -> Site | None:
        """Return the manifest of a gateway that was valid at an event time."""
        found = None
        for document in await self._store.documents(enterprise, "manifest", gateway):
            if document.index >= 0 and document.valid_from_us <= at_us:
                found = document
        return await self.site(enterprise, found.digest) if found else None

    async def versions(self, enterprise: str, gateway: str) -> list[Valid]:
        """Return the manifests of a gateway with the event times from which they were in force."""
        documents = await self._store.documents(enterprise, "manifest", gateway)
        sites = [(document, await self.site(enterprise, document.digest)) for document in _logged(documents)]
        return [Valid(document.valid_from_us, site.manifest) for document, site in sites if site]


def arrival_of(entry: StoredBatch) -> Arrival:
    """Return the order of an entry in the twin."""
    return Arrival(entry.gateway, entry.epoch, entry.seq, entry.t1_us, entry.received_us)


def _decoded(pairs: Sequence[tuple[StoredBatch, Site]]) -> list[Opened]:
    found = []
    for entry, site in pairs:
        assert entry.body is not None
        try:
            batch = entry.batch or decode_body(entry.body, groups_of(site.manifest))
        except FormatError:
            continue  # damaged in the store; `verify` names it
        found.append(Opened(entry, batch, site))
    return found


def _logged(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    return [document for document in documents if document.index >= 0]


def _keep(held: dict[K, V], key: K, value: V) -> None:
    if len(held) >= SITES_MAX:
        del held[next(iter(held))]
    held[key] = value
