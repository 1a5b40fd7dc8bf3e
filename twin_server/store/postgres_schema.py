"""The tables of the PostgreSQL store, made by `twin-server migrate`, and their distribution on Citus by enterprise.

Every key begins with the enterprise and every statement names it, so one enterprise's rows lie on one node and its
transactions stay there. The small tables of the whole server (enterprise to token) are not distributed.
"""

from typing import Any

import psycopg
from psycopg import sql

from twin_wire.errors import ConfigError

Db = psycopg.Connection[tuple[Any, ...]]

VERSION = 1
SLOT_US = 600_000_000  # grain of the time index
LOCK = 0x4D54_5331  # one migration at a time

SCHEMA = """
create table if not exists schema_version(version bigint primary key);
create table if not exists enterprise(
    ent text primary key, name text not null, simulated boolean not null, origin text not null unique,
    log_vkey text not null, created_us bigint not null);
create table if not exists owner(gateway text primary key, ent text not null);
create table if not exists voucher(
    ent text not null, gateway text not null, name text not null, site text not null, epoch bigint not null,
    secret bytea not null, expires_us bigint not null, used_us bigint not null, primary key(ent, gateway, epoch));
create index if not exists voucher_gateway on voucher(gateway, epoch);
create table if not exists account(
    id text primary key, name text not null unique, role text not null, enterprises text not null, salt bytea not null,
    hash bytea not null, created_us bigint not null);
create table if not exists session(
    hash bytea primary key, account text not null, csrf text not null, expires_us bigint not null);
create table if not exists token(
    id text primary key, name text not null, hash bytea not null unique, role text not null, enterprises text not null,
    created_us bigint not null, expires_us bigint not null);

create table if not exists head(ent text primary key, size bigint not null);
create table if not exists entry(
    ent text not null, idx bigint not null, kind text not null, gateway text not null, epoch bigint not null,
    seq bigint not null, t0_us bigint not null, t1_us bigint not null, received_us bigint not null,
    rows bigint not null, disputed boolean not null, readable boolean not null, digest bytea not null,
    statement bytea not null, primary key(ent, idx));
create unique index if not exists entry_number on entry(ent, gateway, epoch, seq) where not disputed;
create index if not exists entry_other on entry(ent, idx) where kind <> 'data';
create index if not exists entry_latest on entry(ent, gateway, t1_us) where kind = 'data' and not disputed and readable;
create table if not exists body(
    ent text not null, digest bytea not null, body bytea not null, primary key(ent, digest));
alter table body alter body set storage external;
create table if not exists slot(
    ent text not null, slot bigint not null, idx bigint not null, primary key(ent, slot, idx));
create table if not exists tile(
    ent text not null, level bigint not null, n bigint not null, hashes bytea not null, root bytea not null,
    primary key(ent, level, n));
alter table tile alter hashes set storage external;
create table if not exists checkpoint(
    ent text not null, size bigint not null, time_us bigint not null, root bytea not null, primary key(ent, size));
create table if not exists gateway(
    ent text not null, gateway text not null, name text not null, site text not null, kid bytea not null,
    public bytea not null, epoch bigint not null, enrolled bigint not null, revoked bigint not null,
    seq bigint not null, hash bytea not null, above text not null, last_event_us bigint not null,
    last_received_us bigint not null, forks bigint not null, primary key(ent, gateway));
create table if not exists chain(
    ent text not null, gateway text not null, epoch bigint not null, kid bytea not null, public bytea not null,
    enrolled bigint not null, revoked bigint not null, seq bigint not null, hash bytea not null, above text not null,
    primary key(ent, gateway, epoch));
create table if not exists document(
    ent text not null, digest bytea not null, idx bigint not null, kind text not null, gateway text not null,
    valid_from_us bigint not null, received_us bigint not null, primary key(ent, digest, idx));
create table if not exists point(
    ent text not null, gateway text not null, point text not null, pid bigint not null,
    primary key(ent, gateway, point));
create unique index if not exists point_number on point(ent, pid);
create table if not exists aggregate(
    ent text not null, level_us bigint not null, shelf bigint not null, t0_us bigint not null, data bytea not null,
    primary key(ent, level_us, shelf, t0_us));
alter table aggregate alter data set storage external;
create table if not exists arrival(
    ent text not null, t0_us bigint not null, gateway text not null, batches bigint not null, samples bigint not null,
    good bigint not null, late bigint not null, delay_us bigint not null, primary key(ent, t0_us, gateway));
create table if not exists event(
    ent text not null, begin_us bigint not null, gateway text not null, point text not null, rule text not null,
    end_us bigint not null, severity bigint not null, detector text not null, numbers text not null,
    text text not null, epoch bigint not null, seq bigint not null, idx bigint not null,
    received_us bigint not null, updated_us bigint not null, primary key(ent, begin_us, gateway, point, rule));
create index if not exists event_active on event(ent, begin_us) where end_us = 0;
create table if not exists ack(
    ent text not null, begin_us bigint not null, gateway text not null, point text not null, rule text not null,
    at_us bigint not null, by text not null, note text not null, severity bigint not null,
    primary key(ent, begin_us, gateway, point, rule, at_us));
create table if not exists note(ent text not null, name text not null, value bytea not null, primary key(ent, name));
create table if not exists audit(
    ent text not null, at_us bigint not null, n bigint not null, who text not null, act text not null,
    subject text not null, detail text not null, primary key(ent, at_us, n));
create table if not exists person(
    ent text not null, tag text not null, name text not null, team text not null, details text not null,
    changed_us bigint not null, primary key(ent, tag));
"""
DISTRIBUTED = (
    "head", "entry", "body", "slot", "tile", "checkpoint", "gateway", "chain", "document", "point", "aggregate",
    "arrival", "event", "ack", "note", "audit", "person",
)  # fmt: skip


def migrate(db: Db, citus: bool) -> list[str]:
    """Make what is missing, in one transaction; return what was done. ConfigError when Citus is wanted and absent."""
    done: list[str] = []
    db.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    if version(db) > VERSION:
        raise ConfigError("this database was made by a newer twin-server", "update this one")
    if citus and not _has_citus(db):
        raise ConfigError(
            "the extension citus is not in this database",
            "install it on every node, then: create extension citus; and add the workers with citus_add_node",
        )
    if version(db) < VERSION:
        db.execute(SCHEMA)
        db.execute("insert into schema_version values(%s)", (VERSION,))
        done.append(f"schema version {VERSION}")
    if citus:
        done += _distribute(db)
    return done


def version(db: Db) -> int:
    """Return the version of the schema in this database, 0 when there is none."""
    row = db.execute("select to_regclass('schema_version')").fetchone()
    if row is None or row[0] is None:
        return 0
    found = db.execute("select coalesce(max(version), 0) from schema_version").fetchone()
    return int(found[0]) if found else 0


def _has_citus(db: Db) -> bool:
    return db.execute("select 1 from pg_extension where extname = 'citus'").fetchone() is not None


def _distribute(db: Db) -> list[str]:
    done = []
    for place, table in enumerate(DISTRIBUTED):
        query = "select 1 from pg_dist_partition where logicalrelid = to_regclass(%s)"
        if db.execute(query, (table,)).fetchone() is None:
            beside = sql.SQL("'default'") if place == 0 else sql.Literal(DISTRIBUTED[0])
            name = sql.Literal(table)
            db.execute(sql.SQL("select create_distributed_table({}, 'ent', colocate_with => {})").format(name, beside))
            done.append(f"{table} distributed by enterprise")
    return done
