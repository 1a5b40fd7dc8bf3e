"""Names live in the directory alone: shown with a reason on record, erased to the last byte, the log verifies on."""

import asyncio
import time
from pathlib import Path

from tests.support.server import Server, serving
from tests.support.small_mine import SECOND_US, batch, fixes
from twin_server.context import STORE
from twin_server.verify import verify

NAME, OTHER = "欧阳小明-Zhang", "Another Person"


def holding(folder: Path, name: str) -> list[Path]:
    """Every file below a folder that holds a name in any usual encoding."""
    forms = [name.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
    forms.append(name.encode("ascii", "backslashreplace"))  # as JSON may write it
    return [p for p in folder.rglob("*") if p.is_file() and any(form in p.read_bytes() for form in forms)]


async def ask(server: Server, method: str, path: str, headers: dict[str, str], status: int, **more: object) -> object:
    url = f"{server.url}/api/v1/enterprises/e1{path}"
    async with server.session.request(method, url, headers=headers, **more) as response:  # type: ignore[arg-type]
        assert response.status == status, await response.text()
        return await response.json() if response.content_type.endswith("json") else None


def test_an_erased_person_leaves_no_byte_and_the_log_still_verifies(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            keeper, regulator = await server.token("enterprise", "e1"), await server.token("regulator", "e1")
            now_us = time.time_ns() // 1000
            seen = batch(gateway.manifest, where=fixes([(now_us, "t1", 0, 5.0, 1), (now_us, "t2", 0, 6.0, 1)]))
            await gateway.post(server.session, server.url, [gateway.seal_batch(seen)])
            person = {"name": NAME, "team": "采煤一队", "details": {"phone": "555-0199-4711"}}
            await ask(server, "PUT", "/people/t1", keeper, 204, json=person)
            await ask(server, "PUT", "/people/t2", keeper, 204, json={"name": OTHER})
            assert holding(tmp_path, NAME)
            listed = await ask(server, "GET", "/people", regulator, 200)
            assert NAME not in str(listed)
            assert [row["named"] for row in listed["people"]] == [True, True]  # type: ignore[index]
            shown = await ask(server, "GET", "/people/t1/name", regulator, 200, params={"reason": "roof fall, rescue"})
            assert shown["name"] == NAME  # type: ignore[index]
            for method, path, more in (
                ("GET", "/people/t1/name", {"params": {"reason": f"looking for {NAME}"}}),
                ("GET", "/people/t1/name", {}),
            ):
                await ask(server, method, path, regulator, 400, **more)
            await ask(server, "PUT", "/people/t1", regulator, 403, json=person)
            await ask(server, "DELETE", "/people/t1", keeper, 204)
            await ask(server, "DELETE", "/people/t1", keeper, 404)
            await ask(server, "GET", "/people/t1/name", keeper, 404, params={"reason": "again"})
            for text in (NAME, "555-0199-4711", "采煤一队"):
                assert holding(tmp_path, text) == [], "while the server runs"
            assert holding(tmp_path, OTHER), "the others stay"
            told = await ask(server, "GET", "/changes", keeper, 200)
            acts = [row["summary"] for row in told if row["kind"] == "access"]  # type: ignore[attr-defined, union-attr]
            assert [(act["act"], act["tag"]) for act in acts] == [("name_shown", "t1"), ("person_erased", "t1")]
            assert acts[0]["reason"] == "roof fall, rescue"
            audits = await server.app[STORE].audits("e1", 0, 1 << 62)
            assert [row.act for row in audits if row.subject == "t1"] == [
                "person_changed",
                "name_shown",
                "person_erased",
            ]
            (report,) = await verify(str(tmp_path), "e1", "", "", True, lambda *_: None)
            assert (report.faults, report.size) == ([], 7)
            track = await ask(
                server, "GET", "/people/t1/track", keeper, 200,
                params={"from": str(now_us - SECOND_US), "to": str(now_us + 1)},
            )  # fmt: skip
            assert [row["chainage_m"] for row in track] == [5.0]  # type: ignore[attr-defined, index]
            old_us = now_us - 40 * 86_400 * SECOND_US
            query = {"from": str(old_us), "to": str(old_us + SECOND_US)}
            assert await ask(server, "GET", "/people/t1/track", keeper, 200, params=query) == []
        assert holding(tmp_path, NAME) == []

    asyncio.run(run())
