"""Taking a key out of use: a statement of the log; what it signed before stays, and may be marked as suspect."""

from collections.abc import Callable
from typing import Annotated

import aiohttp
import msgspec
from aiohttp import web

from twin_server.context import INGEST, LEDGER
from twin_server.live import LIVE
from twin_server.log import Appender
from twin_server.params import Call, answer, bad, body
from twin_server.people import check_nameless
from twin_server.store.rows import Audit
from twin_wire.errors import ConfigError, UplinkError
from twin_wire.ids import is_name

REASON_CHARS_MAX = 120


class RevokeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key, why, and from which entry of the log on its statements are suspect (not given: none before now)."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=REASON_CHARS_MAX)]
    suspect_from: Annotated[int, msgspec.Meta(ge=-1)] = -1


def revocation(gateway: str, wish: RevokeBody, by: str) -> Callable[[Appender], int]:
    """Return the job that logs a revocation and returns its entry; it raises ConfigError for a key there is not."""
    if not is_name(wish.reason):
        raise ConfigError("the reason is one printable line")

    def job(appender: Appender) -> int:
        tx = appender.tx
        chain, row = tx.chain(gateway, wish.epoch), tx.gateway(gateway)
        if chain is None or row is None:
            raise ConfigError(f"gateway {gateway!r} has no key of epoch {wish.epoch}")
        if chain.revoked_index >= 0:
            return chain.revoked_index
        record = {"gateway": gateway, "epoch": wish.epoch, "kid": chain.kid, "reason": wish.reason, "by": by}
        index = appender.state("revoke", record | {"suspect_from": wish.suspect_from})
        if wish.suspect_from > index:
            raise ConfigError(f"entry {wish.suspect_from} is not in the log yet")
        tx.put_chain(chain._replace(revoked_index=index))
        if row.epoch == wish.epoch:
            tx.put_gateway(row._replace(revoked_index=index))
        tx.audit(Audit(appender.now_us, by, "revoke", gateway, wish.reason))
        return index

    return job


async def revoke(call: Call) -> web.Response:
    """Revoke a gateway's key: nothing more is taken under it; again changes nothing."""
    wish, gateway = await body(call, RevokeBody), call.path("g")
    check_nameless("reason", wish.reason, await call.app[LIVE].store.people(call.enterprise))
    try:
        index, _ = await call.app[LEDGER].run(call.enterprise, revocation(gateway, wish, call.caller.id))
    except ConfigError as fault:
        raise bad("body", str(fault)) from None
    call.app[INGEST].forget_keys(gateway)
    return answer({"index": index})


async def ask_revoke(server: str, token: str, enterprise: str, gateway: str, wish: RevokeBody) -> int:
    """Let a running server revoke; return the entry, UplinkError with what it said otherwise."""
    url = f"{server.rstrip('/')}/api/v1/enterprises/{enterprise}/gateways/{gateway}/revoke"
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
            session.post(url, json=msgspec.to_builtins(wish), headers=headers) as answered,
        ):
            said = await answered.json(content_type=None)
            if answered.status != 200:
                raise UplinkError(f"{url}: {said.get('detail', answered.status)}", "it takes an admin's token")
            return int(said["index"])
    except (aiohttp.ClientError, TimeoutError, ValueError) as cause:
        raise UplinkError(f"{url}: {cause}") from cause
