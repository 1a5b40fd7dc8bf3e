#!/usr/bin/env python3
"""Checks a Mine Twin evidence bundle and prints its readings; needs Python 3.11 and `cryptography`, nothing of ours.

    python verify_evidence.py evidence.zip [KEY] > readings.csv

Readings go to standard output, findings to standard error. Exit code 0: every record is unaltered since sealing, in the
log and in order; 1: something does not hold, named; 2: no bundle. It does not say that a reading is true.
Written from the published format (SPEC.md): give as KEY the log's key that you have by another way.
"""

# fmt: off
# ruff: noqa: D102, D103, E401, I001
import base64, csv, datetime, json, struct, sys, zipfile, zlib
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

P, ORDER_8 = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL = {0, 1, P - 1, ORDER_8, P - ORDER_8}  # second coordinates of the points under which anything verifies
TYPE, BODY_MAX, INFLATED_MAX, SAMPLES_MAX = "application/vnd.minetwin.", 1 << 20, 16 << 20, 1 << 20
SOUND = "every record here is unaltered since sealing; this does not say that a reading is true\n"
QUALITY = {0: "GOOD", 16: "UNCERTAIN", 17: "CLOCK_UNSURE", 18: "CALIBRATING", 19: "BYPASSED", 20: "STUCK",
           21: "OVER_RANGE", 22: "UNDER_RANGE", 32: "BAD", 33: "NO_ANSWER", 34: "SENTINEL", 35: "DEVICE_FAULT"}

class Bad(Exception):
    """Bytes that are not what the format says, or a proof that fails."""
def need(held: object, text: str) -> None:
    if not held:
        raise Bad(text)
def cbor(data: bytes) -> Any:
    """Return the one item in `data`."""
    item, at = cbor_item(data, 0, 16)
    need(at == len(data), "bytes after the CBOR item")
    return item
def cbor_item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    need(depth and at < len(data), "CBOR ends early or nests too deep")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info > 23:
        need(info < 28, "CBOR of a form that is not used")
        size = 1 << (info - 24)
        need(at + size <= len(data), "CBOR ends early")
        number, head, at = int.from_bytes(data[at : at + size], "big"), data[at : at + size], at + size
        if major == 7:
            need(size > 1, "CBOR simple value of a form that is not used")
            return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], head)[0], at
    else:
        number = info
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        need(at + number <= len(data), "CBOR ends early")
        return (data[at : at + number] if major == 2 else data[at : at + number].decode()), at + number
    if major in (4, 5):
        need(number <= len(data) - at, "CBOR ends early")
        items = []
        for _ in range(number * (major - 3)):
            item, at = cbor_item(data, at, depth - 1)
            items.append(item)
        return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at
    if major == 6:
        need(number == 18, "CBOR tag that is not used")
        return cbor_item(data, at, depth - 1)
    need(number in (20, 21, 22), "CBOR simple value that is not used")
    return {20: False, 21: True, 22: None}[number], at
def byte_string(data: bytes) -> bytes:
    n = len(data)
    return (bytes([64 + n]) if n < 24 else bytes([88, n]) if n < 256 else b"\x59" + n.to_bytes(2, "big")) + data
def signed_bytes(protected: bytes, payload: bytes) -> bytes:
    return b"\x84\x6aSignature1" + b"".join(byte_string(part) for part in (protected, b"", payload))
def check(public: bytes, signature: bytes, message: bytes, text: str) -> None:
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    need(len(public) == 32 and y < P and y not in SMALL, "a key that accepts any message")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Bad(text) from None
def inflate(data: bytes) -> bytes:
    opener = zlib.decompressobj()
    raw = opener.decompress(data, INFLATED_MAX)
    need(opener.eof and not opener.unused_data, "not one zlib stream, or a very long one")
    return raw
def kid_of(public: bytes) -> bytes:
    return sha256(bytes.fromhex("a301012006215820") + public).digest()[:8]
def parse_vkey(text: str) -> tuple[str, bytes]:
    name, key_id, packed = text.split("+", 2)
    public = base64.b64decode(packed)[1:]
    need(sha256(name.encode() + b"\n\x01" + public).hexdigest()[:8] == key_id, "the log's key does not fit its id")
    return name, public
def read_checkpoint(note: bytes, origin: str, public: bytes) -> tuple[int, bytes]:
    """Return (size, root) of the log's signed note."""
    text, _, signatures = note.decode().partition("\n\n")
    for line in signatures.splitlines():
        _, name, packed = line.split(" ")
        raw = base64.b64decode(packed)
        if name == origin and raw[:4] == sha256(origin.encode() + b"\n\x01" + public).digest()[:4]:
            check(public, raw[4:], text.encode() + b"\n", "the checkpoint is not signed by the log")
            said, size, root = text.splitlines()
            need(said == origin, "checkpoint of another log")
            return int(size), base64.b64decode(root)
    raise Bad("the checkpoint is not signed by the log")
def read_statement(raw: bytes, origin: str) -> dict[str, Any]:
    protected, _, digest, signature = cbor(raw)
    head = cbor(protected)
    names = ("version", "epoch", "boot", "seq", "prev", "mono_ms", "t0_ms", "t1_ms", "rows", "anchor_size", "anchor")
    made = dict(zip(names, head[-70001], strict=True))
    need(head[1] in (-19, -8) and head[258] == -16 and head[15][1] == origin, "not a statement for this log")
    kind = "data" if head[259] == "application/cbor" else head[259].removeprefix(TYPE)
    return made | {"kind": kind, "who": head[15][2], "kid": head[4], "digest": digest, "signature": signature,
                   "signed": signed_bytes(protected, digest), "hash": sha256(raw).digest()}
def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that an inclusion path leads to (RFC 9162, 2.1.3.2)."""
    fn, sn = index, size - 1
    for step in path:
        need(sn, "inclusion path too long")
        if fn & 1 or fn == sn:
            leaf = sha256(b"\x01" + step + leaf).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            leaf = sha256(b"\x01" + leaf + step).digest()
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "inclusion path too short")
    return leaf
def check_receipt(receipt: bytes, raw: bytes, index: int, size: int, root: bytes, public: bytes) -> None:
    protected, unprotected, payload, signature = cbor(receipt)
    head, [inner] = cbor(protected), unprotected[396][-1]
    said, at, path = cbor(inner)
    need(payload is None and said == head[-70002] == size and at == index, "receipt for another entry or tree")
    found = root_of(sha256(b"\x00" + raw).digest(), index, size, path)
    need(found == root, "the receipt leads to another root than the checkpoint")
    check(public, signature, signed_bytes(protected, found), "receipt: signature fails")
def planes(data: bytes, count: int) -> list[int]:
    need(count and len(data) % count == 0 and data, "byte planes of a wrong length")
    return [int.from_bytes(data[i::count], "little") for i in range(count)]
def plain(number: int) -> int:
    return -(number + 1 >> 1) if number & 1 else number >> 1
def times_of(head: list[Any], rows: int, steps: Iterator[int], origin_us: int) -> list[int]:
    time_us = [origin_us + head[0]]
    for i in range(rows - 1):
        step = head[1][i] if isinstance(head[1], list) else head[1] + (head[2] * plain(next(steps)) if head[2:] else 0)
        time_us.append(time_us[-1] + step)
    return time_us
def lanes_of(body: dict[int, Any], shapes: list[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Yield (kind, numbers) of every lane; `shapes` is (columns, rows) block by block."""
    codes, firsts = iter(body[5]), iter(planes(body[6], len(body[5])))
    halves = (half for octet in body.get(7, b"") for half in (octet & 15, octet >> 4))
    octets, first = [iter(plane) for plane in body.get(8, [])], 0
    for columns, rows in shapes:
        wide = 0
        while wide < columns:
            code = next(codes)
            kind, width = code & 15, code >> 4
            first += plain(next(firsts))
            numbers = [first]
            for _ in range(rows - 1):
                step = next(halves) if width == 1 else 0
                for k in range(width - 1):
                    step |= next(octets[k]) << 8 * k
                numbers.append(numbers[-1] + plain(step))
            yield kind, numbers
            wide += kind not in (11, 13)
def readings_of(body: dict[int, Any], groups: list[list[str]]) -> Iterator[tuple[str, int, float | None, int]]:
    """Yield (point, time µs, value or None, quality code) of a data body, block after block."""
    heads = body.get(4, [])
    shapes = [(len(groups[group]), rows) for group, rows, *_ in heads]
    need(sum(columns * rows for columns, rows in shapes) <= SAMPLES_MAX, "more samples than a body may have")
    runs = zip(body.get(10, b""), planes(body[11], len(body[10])) if 10 in body else [], strict=True)
    flat = (code for code, length in runs for _ in range(length))
    counts = sum(rows - 1 for _, rows, *times in heads + ([body[12]] if 12 in body else []) if len(times) == 3)
    steps, lanes = iter(planes(body[9], counts) if 9 in body else []), lanes_of(body, shapes)
    for group, rows, *times in heads:
        time_us = times_of(times, rows, steps, body[3])
        for point in groups[group]:
            kind, low = next(lanes)
            high = next(lanes)[1] if kind in (11, 13) else low
            for i in range(rows):
                quality = next(flat) if 10 in body else 0
                if kind <= 9:
                    value = low[i] / 10**kind
                elif kind == 10:
                    [value] = struct.unpack("<f", struct.pack("<I", low[i] % (1 << 32)))
                else:
                    [value] = struct.unpack("<d", struct.pack("<II", low[i] % (1 << 32), high[i] % (1 << 32)))
                yield point, time_us[i], None if quality >= 32 and kind < 13 else value, quality
class Bundle:
    """The archive, checked entry by entry; faults are (index, text)."""

    def __init__(self, archive: zipfile.ZipFile, vkey: str) -> None:
        self.archive, read, names = archive, self.read, archive.namelist()
        self.faults: list[tuple[int, str]] = []
        self.gaps: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        self.given_up: list[tuple[int, tuple[str, int], int]] = []
        self.manifests: dict[bytes, dict[str, Any]] = {}
        self.chain: defaultdict[tuple[str, int], dict[int, dict[str, Any]]] = defaultdict(dict)
        self.facts = json.loads(read("facts.json"))
        self.origin, self.log = parse_vkey(read("log.vkey").decode().strip())
        if vkey and vkey != read("log.vkey").decode().strip():
            self.faults.append((-1, "the log's key is not the one you gave"))
        self.size, self.root = read_checkpoint(read("checkpoint"), self.origin, self.log)
        self.keys, self.revoked = {(self.origin, 0): self.log}, set[tuple[str, int]]()
        stems = (name.removeprefix("entries/").removesuffix(".cbor") for name in names if name.endswith(".cbor"))
        self.indices = sorted(int(stem) for stem in stems if stem.isdigit())
        self.counts = {"entries": len(self.indices), "signatures": 0, "readings": 0}
    def read(self, name: str) -> bytes:
        need(self.archive.getinfo(name).file_size <= 2 * BODY_MAX, f"{name} is larger than any entry")
        return self.archive.read(name)
    def entry(self, index: int) -> tuple[dict[str, Any], bytes | None]:
        """Check one entry; return (statement, body) of it."""
        raw, body = cbor(self.read(f"entries/{index}.cbor"))
        statement = read_statement(raw, self.origin)
        who = (statement["who"], statement["epoch"])
        if body is not None:
            need(len(body) <= BODY_MAX and sha256(body).digest() == statement["digest"], "the body was altered")
        if statement["kind"] == "enrol" and body is not None and who not in self.keys:
            made = cbor(inflate(body))
            need((made["gateway"], made["epoch"], made["log_public"]) == (*who, self.log), "enrolled elsewhere")
            self.keys[who] = made["public"]
        need(who in self.keys and kid_of(self.keys[who]) == statement["kid"], "its key was not enrolled in this log")
        check(self.keys[who], statement["signature"], statement["signed"], "its signature fails")
        self.counts["signatures"] += 1
        if self.size > 1:
            check_receipt(self.read(f"entries/{index}.receipt"), raw, index, self.size, self.root, self.log)
        held = self.chain[who].setdefault(statement["seq"], statement)
        need(who not in self.revoked, "its key was revoked before")
        need(held is statement, "a second statement with a number that was used before")
        if body is None:
            self.given_up.append((index, who, statement["seq"]))
        elif statement["kind"] == "revoke" and statement["who"] == self.origin:
            self.revoked.add((cbor(inflate(body))["gateway"], cbor(inflate(body))["epoch"]))
        elif statement["kind"] == "gap":
            self.gaps[who[0]] += [(cbor(inflate(body))["epoch"], *span) for span in cbor(inflate(body))["ranges"]]
        elif statement["kind"] == "manifest":
            self.manifests[sha256(body).digest()[:8]] = cbor(inflate(body))
        return statement, body
    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield every reading of the archive, checking as it goes."""
        for index in self.indices:
            try:
                statement, body = self.entry(index)
                if statement["kind"] == "data" and body is not None:
                    inner = cbor(inflate(body))
                    need(inner[1] in self.manifests, "its point map is not in the archive")
                    told = self.manifests[inner[1]]
                    need(told["gateway"] == statement["who"], "its point map is another gateway's")
                    points = {point["id"]: point for point in told["points"]}
                    for point, time_us, value, quality in readings_of(inner, [g["points"] for g in told["groups"]]):
                        self.counts["readings"] += 1
                        yield statement, index, point, time_us, value, points[point], quality
            except (Bad, KeyError, ValueError, TypeError, IndexError, StopIteration, RuntimeError, zlib.error,
                    struct.error, OverflowError, OSError, zipfile.BadZipFile) as error:
                self.faults.append((index, str(error) if isinstance(error, Bad) else f"not readable: {error!r}"))
    def explained(self, who: str, epoch: int, seq: int) -> bool:
        return any(epoch == said and first <= seq <= last for said, first, last in self.gaps[who])
    def finish(self) -> None:
        """Name what is missing and joints that do not hold."""
        if self.facts.get("entries") != len(self.indices):
            self.faults.append((-1, f"{self.facts.get('entries')} entries promised, {len(self.indices)} here"))
        for who, epoch, first, last in self.facts["runs"]:
            need(last - first <= 1 << 20, "a run of too many numbers")
            held = self.chain[who, epoch]
            lost = [n for n in range(first, last + 1) if n not in held and not self.explained(who, epoch, n)]
            self.faults += [(-1, f"{who} epoch {epoch}: statement {n} is missing") for n in lost[:100]]
        for (who, epoch), held in self.chain.items():
            self.faults += [(-1, f"{who} epoch {epoch}: {seq} does not continue {seq - 1}") for seq in held
                            if seq - 1 in held and held[seq]["prev"] != held[seq - 1]["hash"]]
        self.faults += [(index, "its body is not here, and no gap record says why")
                        for index, (who, epoch), seq in self.given_up if not self.explained(who, epoch, seq)]

def main() -> None:
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        bundle = Bundle(zipfile.ZipFile(sys.argv[1]), "".join(sys.argv[2:]))
    except (Bad, OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"{sys.argv[1]} is no evidence bundle: {error}\n")
        sys.exit(2)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("time_us", "time", "gateway", "point", "value", "unit", "quality", "epoch", "seq", "index"))
    for statement, index, point, time_us, value, told, quality in bundle.rows():
        when = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time_us)  # noqa: DTZ001
        shown = "" if value is None else repr(value).removesuffix(".0")
        out.writerow((time_us, when.isoformat() + "Z", statement["who"], point, shown, told["unit"],
                      QUALITY.get(quality, quality), statement["epoch"], statement["seq"], index))
    bundle.finish()
    tell = sys.stderr.write
    tell(f"log {bundle.origin}, {bundle.size} entries, root {bundle.root.hex()}\nkey {kid_of(bundle.log).hex()}\n")
    tell("SIMULATED: nothing in it was measured\n" if bundle.facts.get("simulated") else "")
    tell(", ".join(f"{count} {name}" for name, count in bundle.counts.items()) + "\n")
    for index, text in bundle.faults[:1000]:
        tell(f"FAULT {'' if index < 0 else f'entry {index}: '}{text}\n")
    tell(f"{len(bundle.faults)} faults\n" if bundle.faults else SOUND)
    sys.exit(1 if bundle.faults else 0)

if __name__ == "__main__":
    main()
