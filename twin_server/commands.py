"""The command line: what `twin-server` understands, with help that teaches."""

import argparse
from typing import TypeAlias

from twin_server.access import ROLES

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Common: TypeAlias = argparse.ArgumentParser

DESCRIPTION = """The Mine Twin server: takes signed batches from gateways, keeps them in one append-only log per
enterprise, shows the twin, and proves what it holds.

Begin like this:
  twin-server enterprises add north --name "North Mine"      one log, one key, one file
  twin-server users add "Li Wei" --role enterprise -e north  asks for a passphrase
  twin-server gateways add gw-1 -e north --site pit-1        prints the voucher for the installer
  twin-server serve                                          http://127.0.0.1:8440
  twin-server verify twin-data                               rebuilds every log and checks every signature
All of them take --data DIR (default: twin-data) or --config server.toml."""

SERVE = """Serves until Ctrl-C. Listens beyond loopback only with TLS, or with --behind-proxy where a proxy does TLS."""
MIGRATE = """Makes the tables of a PostgreSQL store, once, before the first `serve`; after an update it makes what is
missing. Then put the same URL into server.toml: store = "postgresql://user@host/database". Several servers may use it
at once, each with a copy of the folder keys/. With --citus the tables are distributed by enterprise as well."""
VERIFY = """TARGET is the URL of a server (with --token-file), a data folder, a store's URL, or an evidence.zip. The log
is rebuilt from its entries; every signature, chain, body hash, anchor and signed size is checked; each missing, late,
duplicate or altered batch is named. Exit 0: no fault. 1: a fault. 2: TARGET could not be read.
A good result says that the records are unaltered since sealing; it does not say that a reading is true."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; `run` names the function in __main__ that does the work."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="server.toml; every setting has a default")
    common.add_argument("--data", metavar="DIR", help="the data folder (default: twin-data)")
    common.add_argument("--url", metavar="URL", help="how gateways and browsers reach the server (goes into vouchers)")
    top = argparse.ArgumentParser(
        "twin-server", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _serve(verbs, common)
    _enterprises(verbs, common)
    _gateways(verbs, common)
    _users(verbs, common)
    _tokens(verbs, common)
    _verify(verbs)
    _witness(verbs)
    _mirror(verbs)
    _countersign(verbs)
    _import(verbs)
    _export(verbs, common)
    _migrate(verbs)
    return top


def _add(verbs: Verbs, name: str, run: str, text: str, *parents: Common, about: str = "") -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    made: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=about or text, parents=list(parents), formatter_class=raw
    )
    made.set_defaults(run=run)
    return made


def _group(verbs: Verbs, name: str, text: str) -> Verbs:
    made = verbs.add_parser(name, help=text, description=text)
    group: Verbs = made.add_subparsers(title="actions", required=True, metavar="ACTION")
    return group


def _enterprise_option(made: argparse.ArgumentParser, many: bool = False, required: bool = True) -> None:
    made.add_argument(
        "-e", "--enterprise", metavar="ID", required=required, action="append" if many else "store",
        help="the enterprise's id" + ("; give it several times for several" if many else ""),
    )  # fmt: skip


def _serve(verbs: Verbs, common: Common) -> None:
    made = _add(verbs, "serve", "serve", "run the server", common, about=SERVE)
    made.add_argument("--listen", metavar="ADDRESS:PORT", help="default 127.0.0.1:8440; port 0 takes a free one")
    made.add_argument("--behind-proxy", action="store_true", default=None, help="a proxy before us does TLS")
    made.add_argument("--tls-certificate", metavar="FILE", help="certificate chain, PEM")
    made.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")


def _enterprises(verbs: Verbs, common: Common) -> None:
    group = _group(verbs, "enterprises", "the owners of sites, one log each")
    made = _add(group, "add", "enterprises_add", "begin the log of a new enterprise", common)
    made.add_argument("id", help="short and for ever: a-z, 0-9 and -")
    made.add_argument("--name", default="", help="as people read it")
    made.add_argument("--simulated", action="store_true", help="mark the log as a simulation; cannot be undone")
    made.add_argument("--origin", default="", help="name of the log (default: host of --url, slash, id)")
    _add(group, "list", "enterprises_list", "list enterprises with their logs and keys", common)
    made = _add(group, "restored", "enterprises_restored", "say that this data folder comes from a backup", common)
    made.add_argument("id", help="the enterprise")


def _gateways(verbs: Verbs, common: Common) -> None:
    group = _group(verbs, "gateways", "the boxes on site")
    made = _add(group, "add", "gateways_add", "make the one-use voucher with which a gateway enrols", common)
    made.add_argument("id", help="unique on this server; a gateway enrolled before gets its next epoch")
    _enterprise_option(made)
    made.add_argument("--site", required=True, help="id of the site")
    made.add_argument("--name", default="", help="as people read it")
    made.add_argument("--days", type=float, default=7.0, help="how long the voucher is valid (default 7)")
    made.add_argument("--out", metavar="FILE", help="write the voucher there instead of printing it")
    made = _add(group, "extend", "gateways_extend", "give an unused voucher more time", common)
    made.add_argument("id", help="the gateway")
    made.add_argument("--days", type=float, default=7.0, help="from now (default 7)")
    made = _add(group, "revoke", "gateways_revoke", "take a gateway's key out of use, on record", common)
    made.add_argument("id", help="the gateway")
    _enterprise_option(made)
    made.add_argument("--epoch", type=int, required=True, help="the epoch of the key (gateways list shows it)")
    made.add_argument("--reason", required=True, help="one line for the log: no names of people")
    made.add_argument("--suspect-from", type=int, default=-1, metavar="ENTRY", help="its statements from this entry on")
    made.add_argument("--server", metavar="URL", help="ask a running server instead of opening the data folder")
    made.add_argument("--token-file", metavar="FILE", help="an admin's token for --server (first line)")
    _add(group, "list", "gateways_list", "list gateways with key ids and heads", common)


def _users(verbs: Verbs, common: Common) -> None:
    group = _group(verbs, "users", "people who sign in")
    made = _add(group, "add", "users_add", "add a person; asks for the passphrase", common)
    made.add_argument("name", help="the name to sign in with")
    made.add_argument("--role", required=True, choices=ROLES, help="what the person may do")
    _enterprise_option(made, many=True, required=False)
    made.add_argument("--passphrase-file", metavar="FILE", help="read it from a file (first line) instead of asking")
    _add(group, "list", "users_list", "list people", common)
    made = _add(group, "remove", "users_remove", "remove a person and end their sessions", common)
    made.add_argument("name", help="the name")


def _tokens(verbs: Verbs, common: Common) -> None:
    group = _group(verbs, "tokens", "keys for programs")
    made = _add(group, "add", "tokens_add", "make a token and print it, once", common)
    made.add_argument("name", help="what it is for")
    made.add_argument("--role", required=True, choices=ROLES, help="what it may do")
    _enterprise_option(made, many=True, required=False)
    made.add_argument("--days", type=float, default=0.0, help="valid for so long (default: until removed)")
    _add(group, "list", "tokens_list", "list tokens, without their secrets", common)
    made = _add(group, "remove", "tokens_remove", "remove a token", common)
    made.add_argument("id", help="its id, t-…")


def _migrate(verbs: Verbs) -> None:
    made = _add(verbs, "migrate", "migrate", "make the tables of a PostgreSQL store", about=MIGRATE)
    made.add_argument("store", metavar="URL", help="postgresql://user@host/database")
    made.add_argument("--citus", action="store_true", help="distribute them by enterprise; needs the extension")


def _verify(verbs: Verbs) -> None:
    made = _add(verbs, "verify", "verify", "rebuild and check a log; exit 1 on any fault", about=VERIFY)
    made.add_argument("target", metavar="TARGET", help="URL, data folder or evidence.zip")
    _enterprise_option(made, required=False)
    made.add_argument("--token-file", metavar="FILE", help="a token for the server (first line)")
    made.add_argument("--vkey", default="", help="the log's key as you were given it by another way")
    made.add_argument("--witness", metavar="VKEY", action="append", help="a witness's key: by when entries existed")
    made.add_argument("--no-bodies", action="store_true", help="with a URL: check statements and tree alone")
    made.add_argument("--json", action="store_true", help="print counts and faults as JSON")


def _witness(verbs: Verbs) -> None:
    made = _add(verbs, "witness", "witness", "cosign logs that only ever grow (C2SP); a regulator runs it")
    made.add_argument("--state", metavar="DIR", default="witness", help="its key and the heads it has seen")
    made.add_argument("--name", required=True, help="its name in signatures, such as witness.example/1")
    made.add_argument("--log", metavar="VKEY", action="append", required=True, help="a log's key; several times")
    made.add_argument("--listen", metavar="ADDRESS:PORT", default="127.0.0.1:8450", help="TLS is a proxy's work")


def _mirror(verbs: Verbs) -> None:
    made = _add(verbs, "mirror", "mirror", "keep a checked copy of a log and its bodies; a regulator runs it")
    made.add_argument("server", metavar="URL", help="the server")
    _enterprise_option(made)
    made.add_argument("--dir", metavar="DIR", required=True, help="the copy, for `verify DIR` and `export --data DIR`")
    made.add_argument("--token-file", metavar="FILE", help="a token for the server (first line)")
    made.add_argument("--vkey", default="", help="the log's key as you were given it by another way; needed at first")
    made.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between looks; 0: once (10)")


def _countersign(verbs: Verbs) -> None:
    text = "sign an entry of a log as a second party, with a key of your own; makes the key at first"
    made = _add(verbs, "countersign", "countersign", text)
    made.add_argument("--key", metavar="FILE", required=True, help="your key file; keep it to yourself")
    made.add_argument("--server", metavar="URL", help="the server")
    _enterprise_option(made, required=False)
    made.add_argument("--vkey", default="", help="the log's key as you were given it by another way")
    made.add_argument("--party", default="", help="your id among the parties of the log")
    made.add_argument("--token-file", metavar="FILE", help="a token for the server (first line)")
    made.add_argument("--index", type=int, metavar="ENTRY", help="the entry you have looked at")


def _import(verbs: Verbs) -> None:
    made = _add(verbs, "import", "import", "take in what edge-agent export-usb put on a stick")
    made.add_argument("folder", metavar="DIR", help="the folder on the stick; the receipts are left in it")
    made.add_argument("--server", metavar="URL", required=True, help="the server; signatures are the only credential")


def _export(verbs: Verbs, common: Common) -> None:
    made = _add(verbs, "export", "export", "write readings as CSV", common)
    _enterprise_option(made)
    made.add_argument("--from", dest="from_us", type=int, default=0, metavar="US", help="event time, µs since 1970 UTC")
    made.add_argument("--to", dest="to_us", type=int, default=1 << 53, metavar="US", help="end, not included")
    made.add_argument("--points", default="", help="ids with commas between (default: all)")
    made.add_argument("--format", default="csv", help="default csv")
    made.add_argument("--out", metavar="FILE", help="default: standard output")
