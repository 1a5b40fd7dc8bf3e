"""A second party with a key of its own countersigns; until then one party alone stands for an entry, and that shows."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.server import Server, serving
from twin_server.context import LEDGER, STORE
from twin_server.log import Appender
from twin_server.parties import party_key, sign_entry
from twin_server.verify import verify
from twin_wire.countersign import Countersignature, countersign, countersign_record
from twin_wire.keys import SigningKey


async def changes(server: Server, headers: dict[str, str]) -> list[dict[str, Any]]:
    async with server.session.get(f"{server.url}/api/v1/enterprises/e1/changes", headers=headers) as answer:
        return list(await answer.json())


async def post(server: Server, path: str, wish: dict[str, Any], headers: dict[str, str]) -> int:
    async with server.session.post(f"{server.url}/api/v1/enterprises/e1/{path}", json=wish, headers=headers) as answer:
        return answer.status


def test_an_enrolment_is_one_partys_word_until_a_registered_second_party_signs_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("e1")
            await server.gateway("e1", "gw-1")
            admin, regulator = await server.token("admin"), await server.token("regulator", "e1")
            token = regulator["Authorization"].removeprefix("Bearer ")
            public, new = party_key(tmp_path / "party.key")
            assert new
            row = next(each for each in await changes(server, regulator) if each["kind"] == "enrol")
            assert row["summary"]["countersigned"] == []
            wish = {"party": "mine-safety-1", "role": "regulator", "public": public.raw.hex()}
            assert await post(server, "parties", wish, regulator) == 403
            for bad in ({"role": "king"}, {"public": "00" * 32}, {"party": "two words"}):
                assert await post(server, "parties", wish | bad, admin) == 400
            assert await post(server, "parties", wish, admin) == 200
            vkey = (await server.app[LEDGER].open("e1")).row.log_vkey
            given = (server.url, token, "e1", vkey, "mine-safety-1", tmp_path / "party.key", row["index"])
            assert "enrol of gw-1" in await sign_entry(*given)
            await sign_entry(*given)  # again changes nothing
            row = next(each for each in await changes(server, regulator) if each["kind"] == "enrol")
            assert row["summary"]["countersigned"] == ["mine-safety-1"]
            entry = await server.app[STORE].entry("e1", row["index"])
            assert entry is not None
            forged = SigningKey.generate()
            origin = (await server.app[LEDGER].open("e1")).origin
            signature = countersign(forged, origin, row["index"], sha256(entry.statement).digest()).hex()
            wish = {"index": row["index"], "party": "mine-safety-1", "signature": signature}
            for bad in ({}, {"party": "nobody"}, {"index": 10_000}, {"signature": "zz"}):
                assert await post(server, "countersignatures", wish | bad, regulator) == 400

    asyncio.run(run())
    [report] = asyncio.run(verify(str(tmp_path / "data"), "", "", "", True, lambda *_: None))
    assert report.faults == []
    assert [party for _, party in report.countersigned] == ["mine-safety-1"]


def test_a_server_that_invents_a_countersignature_is_caught(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("e1")
            await server.gateway("e1", "gw-1")

            def invent(appender: Appender) -> None:
                appender.state("countersign", countersign_record(Countersignature(1, "mine-safety-1", bytes(64))))

            await server.app[LEDGER].run("e1", invent)

    asyncio.run(run())
    [report] = asyncio.run(verify(str(tmp_path / "data"), "", "", "", True, lambda *_: None))
    assert [fault.kind for fault in report.faults] == ["countersign"]
