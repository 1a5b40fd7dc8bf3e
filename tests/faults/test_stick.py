"""Batches carried by hand: copied while the agent runs or not, torn off and gone on, taken in once."""

import asyncio
import json
import shutil
from functools import partial

import pytest

from edge_agent.stick import LIST, Stick, fill_stick
from tests.support.edge import Edge, enroll_folder
from tests.support.server import serving
from twin_server.carried import import_folder
from twin_wire.errors import ConfigError, FormatError, StoreError
from twin_wire.statement import encode_envelope


async def copy(edge: Edge, stick: Stick, files: int = 1 << 30) -> int:
    left = iter(range(files))

    async def fetch(after: int) -> bytes:
        if next(left, None) is None:
            raise OSError("pulled out")
        offers = await edge.store.call(partial(edge.store.queue.unsent_after, after, edge.store.above))
        return b"".join(encode_envelope(o.statement, o.body) for o in offers)

    return await fill_stick(stick, fetch, edge.store.unsent, lambda _: None)


def test_what_a_stick_carries_is_taken_in_once_and_the_link_adds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("buffering.queue.OFFER_BATCHES_MAX", 4)

    async def main() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.seal(10)
            folder = tmp_path / "stick"
            with pytest.raises(OSError, match="pulled out"):
                await copy(edge, Stick(folder, "gw-1"), 2)
            assert not json.loads((folder / LIST).read_text("utf-8"))["complete"]
            again = Stick(folder, "gw-1")
            assert again.after & 0xFFFF == 7, "two files of four are whole"
            assert await copy(edge, again) == 5
            assert await copy(edge, Stick(folder, "gw-1")) == 0
            assert json.loads((folder / LIST).read_text("utf-8"))["complete"]
            counts, refused = await import_folder(folder, server.url, lambda _: None)
            assert (dict(counts), refused) == ({"receipt": 13}, [])
            assert (folder / "receipts.cbor").stat().st_size > 13 * 100
            counts, _ = await import_folder(folder, server.url, lambda _: None)
            assert dict(counts) == {"duplicate": 13}
            async with edge.sending():
                await edge.until(lambda: not edge.store.unsent)
            assert edge.uplink.sent == 0, "the server's head says that it holds them"
            await edge.store.close()

    asyncio.run(main())


def test_a_file_bent_on_its_way_is_refused_and_the_others_are_taken(tmp_path):
    async def main() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.seal(3)
            folder = tmp_path / "stick"
            await copy(edge, Stick(folder, "gw-1"))
            await edge.store.close()
            (path,) = folder.glob("*.cborseq")
            data = bytearray(path.read_bytes())
            data[-3] ^= 1  # in the last body
            path.write_bytes(data)
            counts, refused = await import_folder(folder, server.url, lambda _: None)
            assert counts["receipt"] == 5
            assert len(refused) == 1
            path.write_bytes(data[:-7])
            with pytest.raises(FormatError):
                await import_folder(folder, server.url, lambda _: None)
            path.unlink()
            with pytest.raises(ConfigError):
                await import_folder(folder, server.url, lambda _: None)

    asyncio.run(main())


def test_a_stick_of_another_gateway_is_refused_and_a_bent_file_is_copied_anew(tmp_path):
    folder = tmp_path / "stick"
    Stick(folder, "gw-1").close()
    with pytest.raises(StoreError, match="gateway gw-1"):
        Stick(folder, "gw-2")
    (folder / LIST).write_text("{", "utf-8")
    with pytest.raises(StoreError):
        Stick(folder, "gw-1")
    shutil.rmtree(folder)
    folder.write_text("a file", "utf-8")
    with pytest.raises(StoreError):
        Stick(folder, "gw-1")
