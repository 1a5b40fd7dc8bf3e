"""`twin-server`: the only file that prints and exits."""

import argparse
import asyncio
import getpass
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from twin_server.access import Access
from twin_server.app import wall_clock
from twin_server.carried import import_folder
from twin_server.commands import parser
from twin_server.config import Config, read_config
from twin_server.export import Wanted, open_format
from twin_server.log import Ledger
from twin_server.mirror import pinned_key, run_mirror
from twin_server.parties import party_key, sign_entry
from twin_server.revocation import RevokeBody, ask_revoke, revocation
from twin_server.serve import held, serve
from twin_server.sites import Sites
from twin_server.store import Store, migrate, open_store
from twin_server.verify import Report, verify
from twin_server.vouchers import extend_voucher, issue_voucher
from twin_server.witness import Witness, run_witness
from twin_wire.errors import ConfigError, Error
from twin_wire.keys import kid_text
from twin_wire.note import parse_vkey, parse_witness

FAULTS_SHOWN = 200
log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 good, 1 a fault found by verify, 2 it could not be done."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        return int(globals()[f"_{options.run}"](options) or 0)
    except Error as fault:
        print(f"twin-server: {fault}", file=sys.stderr)
        if fault.hint:
            print(f"  {fault.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


def _config(options: argparse.Namespace) -> Config:
    changes: dict[str, object] = {"data": options.data, "url": options.url}
    if options.run == "serve":
        changes |= {"listen": options.listen, "behind_proxy": options.behind_proxy}
        if options.tls_certificate or options.tls_key:
            changes["tls"] = {"certificate": options.tls_certificate or "", "key": options.tls_key or ""}
    return read_config(options.config, changes)


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[tuple[Store, Ledger]]:
    store = open_store(config.store_url)
    ledger = Ledger(store, config.keys, wall_clock)
    try:
        yield store, ledger
    finally:
        await ledger.close()
        await store.close()


def _serve(options: argparse.Namespace) -> None:
    serve(_config(options), lambda url: print(f"twin-server listens on {url}", flush=True))


def _witness(options: argparse.Namespace) -> None:
    witness = Witness(Path(options.state), options.name, options.log)
    print(f"witness {witness.vkey}\nlistens on http://{options.listen}", flush=True)
    print("Hand this key to whoever verifies; the log's owner puts both into server.toml.", file=sys.stderr)
    asyncio.run(run_witness(witness, options.listen))


def _mirror(options: argparse.Namespace) -> None:
    token = _first_line(options.token_file) if options.token_file else ""
    folder = Path(options.dir)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def run() -> None:
        key = options.vkey
        if not key:
            key = await pinned_key(options.server, options.enterprise, token)
            print(f"key {key}: the server's own word; compare it with the one given to you", file=sys.stderr)
        say = partial(print, flush=True)
        await run_mirror(options.server, options.enterprise, token, key, folder, options.every, say)

    asyncio.run(run())


def _countersign(options: argparse.Namespace) -> None:
    public, new = party_key(Path(options.key))
    if new:
        print(f"new key in {options.key}, public {public.raw.hex()}: have an administrator add it as a party")
        return
    if options.index is None:
        print(f"public {public.raw.hex()}")
        return
    token = _first_line(options.token_file) if options.token_file else ""
    given = (options.server, token, options.enterprise, options.vkey, options.party, Path(options.key), options.index)
    print(f"countersigned {asyncio.run(sign_entry(*given))}")


def _import(options: argparse.Namespace) -> int:
    counts, refused = asyncio.run(import_folder(Path(options.folder), options.server, partial(print, flush=True)))
    print(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    for line in refused[:FAULTS_SHOWN]:
        print(line, file=sys.stderr)
    return 1 if refused else 0


def _enterprises_add(options: argparse.Namespace) -> None:
    config = _config(options)

    origin = options.origin or f"{config.origin_prefix}/{options.id}"

    async def run() -> None:
        async with _opened(config) as (_, ledger):
            row = await ledger.create(options.id, options.name or options.id, options.simulated, origin)
            print(f"log {row.origin}\nkey {row.log_vkey}")
            if alone:
                await ledger.open(options.id)  # with its genesis entry; a running server makes that itself
        print("Hand this key to your regulator by another way than this server.", file=sys.stderr)

    with ExitStack() as stack:
        try:
            stack.enter_context(held(Path(config.data)))
            alone = True
        except ConfigError:
            alone = False
        asyncio.run(run())


def _enterprises_list(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            for row in await store.enterprises():
                mark = "  SIMULATED" if row.simulated else ""
                print(f"{row.id}  {row.name}  {await store.size(row.id)} entries  {row.log_vkey}{mark}")

    asyncio.run(run())


def _enterprises_restored(options: argparse.Namespace) -> None:
    config = _config(options)

    async def run() -> None:
        async with _opened(config) as (_, ledger):
            print(f"history {await ledger.declare_restored(options.id)}")
        print("Gateways will offer again what this server no longer holds.", file=sys.stderr)

    with held(Path(config.data)):
        asyncio.run(run())


def _gateways_add(options: argparse.Namespace) -> None:
    config = _config(options)

    async def run() -> str:
        async with _opened(config) as (store, _):
            name = options.name or options.id
            return await issue_voucher(
                store, config, options.enterprise, options.id, name, options.site, options.days, wall_clock()
            )

    line = asyncio.run(run())
    if options.out:
        _write_private(Path(options.out), line + "\n")
        print(f"voucher in {options.out}", file=sys.stderr)
    else:
        print(line)
    print("It is a secret for one gateway: edge-agent enroll gateway.toml --voucher …", file=sys.stderr)


def _gateways_extend(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            longer = await extend_voucher(store, options.id, options.days, wall_clock())
            print(f"the voucher of {longer.gateway} is taken until {_time(longer.expires_us)}")

    asyncio.run(run())


def _gateways_list(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            for enterprise in await store.enterprises():
                for row in await store.gateways(enterprise.id):
                    key, heard = kid_text(row.kid), _time(row.last_received_us)
                    print(
                        f"{enterprise.id}  {row.gateway}  {row.site}  key {key}  {row.epoch}/{row.seq}  heard {heard}"
                    )

    asyncio.run(run())


def _gateways_revoke(options: argparse.Namespace) -> None:
    config = _config(options)
    wish = RevokeBody(options.epoch, options.reason, options.suspect_from)

    async def here() -> int:
        async with _opened(config) as (_, ledger):
            return (await ledger.run(options.enterprise, revocation(options.id, wish, "console")))[0]

    if options.server:
        token = _first_line(options.token_file) if options.token_file else ""
        index = asyncio.run(ask_revoke(options.server, token, options.enterprise, options.id, wish))
    else:
        with held(Path(config.data)):
            index = asyncio.run(here())
    print(f"revoked by entry {index}; a new voucher (gateways add) gives the gateway its next epoch")


def _users_add(options: argparse.Namespace) -> None:
    if options.passphrase_file:
        secret = _first_line(options.passphrase_file)
    else:
        secret = getpass.getpass("Passphrase: ")
        if secret != getpass.getpass("Again: "):
            raise ConfigError("the two passphrases differ")

    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            access = Access(store, wall_clock, 1, behind_proxy=False)
            user = await access.add_user(options.name, secret, options.role, tuple(options.enterprise or ()))
            print(f"{user.id}  {user.name}  {user.role}")

    asyncio.run(run())


def _users_list(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            for user in await store.users():
                print(f"{user.id}  {user.name}  {user.role}  {' '.join(user.enterprises)}")

    asyncio.run(run())


def _users_remove(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            found = [user for user in await store.users() if user.name == options.name]
            if not found:
                raise ConfigError(f"no user {options.name!r}")
            await store.delete_user(found[0].id)

    asyncio.run(run())


def _tokens_add(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            access = Access(store, wall_clock, 1, behind_proxy=False)
            enterprises = tuple(options.enterprise or ())
            token, secret = await access.add_token(options.name, options.role, enterprises, options.days)
            print(secret)
            print(f"{token.id}: shown this once, only its hash is kept", file=sys.stderr)

    asyncio.run(run())


def _tokens_list(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            for token in await store.tokens():
                until = f"until {_time(token.expires_us)}" if token.expires_us else "until removed"
                print(f"{token.id}  {token.name}  {token.role}  {' '.join(token.enterprises)}  {until}")

    asyncio.run(run())


def _tokens_remove(options: argparse.Namespace) -> None:
    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            await store.delete_token(options.id)

    asyncio.run(run())


def _verify(options: argparse.Namespace) -> int:
    token = _first_line(options.token_file) if options.token_file else ""
    if options.vkey:
        parse_vkey(options.vkey)
    quiet = not sys.stderr.isatty()

    def progress(origin: str, done: int, size: int) -> None:
        if not quiet:
            print(f"\r{origin}: {done} of {size} entries", end="" if done < size else "\n", file=sys.stderr, flush=True)

    for text in options.witness or ():
        parse_witness(text)
    run = verify(
        options.target,
        options.enterprise or "",
        token,
        options.vkey,
        not options.no_bodies,
        progress,
        options.witness or (),
    )
    reports = asyncio.run(run)
    if options.json:
        print(msgspec.json.encode([report.as_json() for report in reports]).decode())
    else:
        for report in reports:
            _print_report(report)
    return int(any(report.faults for report in reports))


def _print_report(report: Report) -> None:
    mark = " SIMULATED" if report.simulated else ""
    counts = report.counts
    print(
        f"{report.origin}{mark}: {counts['entries']} entries, {counts['signatures']} signatures, "
        f"{counts['bodies']} bodies, {counts['receipts']} receipts checked; "
        f"{counts['late']} late, {counts['given_up']} bodies given up on record"
    )
    for fault in report.faults[:FAULTS_SHOWN]:
        entry = f"entry {fault.index} " if fault.index >= 0 else ""
        print(f"  {fault.kind}: {entry}gateway {fault.gateway or '?'} batch {fault.epoch}/{fault.seq}: {fault.text}")
    if len(report.faults) > FAULTS_SHOWN:
        print(f"  and {len(report.faults) - FAULTS_SHOWN} more: --json shows all")
    for gateway, epoch, seq in report.late[:FAULTS_SHOWN]:
        print(f"  late: gateway {gateway} batch {epoch}/{seq}")
    for gateway, epoch, first, last in report.suspect:
        print(f"  suspect: gateway {gateway} epoch {epoch}, its entries {first} to {last}: the key was revoked later")
    if report.countersigned:
        print(f"  {len(report.countersigned)} countersignatures of second parties hold")
    for size, time_s, name in report.witnessed[-1:]:
        print(f"  entries below {size} existed by {_time(time_s * 1_000_000)}, says the witness {name}")
    print("  records unaltered since sealing" if not report.faults else f"  {len(report.faults)} faults")


def _migrate(options: argparse.Namespace) -> None:
    for line in migrate(options.store, options.citus) or ("nothing to do",):
        print(line)


def _export(options: argparse.Namespace) -> None:
    made = open_format(options.format)
    wanted = Wanted(
        options.enterprise, options.from_us, options.to_us, frozenset(filter(None, options.points.split(",")))
    )

    async def run() -> None:
        async with _opened(_config(options)) as (store, _):
            if options.enterprise not in {row.id for row in await store.enterprises()}:
                raise ConfigError(f"no enterprise {options.enterprise!r}")
            with open(options.out, "wb") if options.out else sys.stdout.buffer as file:  # noqa: ASYNC230  # alone here
                async for part in made.write(store, Sites(store), wanted):
                    file.write(part)

    asyncio.run(run())


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"cannot read {path}: {cause}") from cause


def _write_private(path: Path, text: str) -> None:
    try:
        path.touch(mode=0o600)
        path.write_text(text)
    except OSError as cause:
        raise ConfigError(f"cannot write {path}: {cause}") from cause


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="seconds") if time_us else "never"


if __name__ == "__main__":
    sys.exit(main())
