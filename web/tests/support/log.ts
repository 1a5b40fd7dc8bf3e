/** A small honest log made in memory, and ways to spoil it; keys are fixed, so that runs are equal. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { deflateSync } from 'node:zlib';
import { ascii, base64, hex, join, type Bytes } from '../../src/lib/verify/bytes';
import { encode, head, type Item } from '../../src/lib/verify/cbor';
import { keyId } from '../../src/lib/verify/keys';
import { digest, leafHash } from '../../src/lib/verify/merkle';
import type { Source } from '../../src/lib/verify/run';
import { Tree } from '../../src/lib/verify/tree';

export const ORIGIN = 'test/e1';
const ZERO = new Uint8Array(32);
const DAY_MS = 86_400_000;
export const T0_MS = 1_700_000_000_000 - (1_700_000_000_000 % DAY_MS) + 3_600_000;

class Key {
  readonly public: Bytes;
  readonly kid: Bytes;
  constructor(private readonly seed: Bytes) {
    this.public = ed25519.getPublicKey(seed) as Bytes;
    this.kid = keyId(this.public);
  }
  sign(message: Bytes): Bytes {
    return ed25519.sign(message, this.seed) as Bytes;
  }
}

export const key = (name: string): Key => new Key(digest(ascii(name)));

type Plain = Item | boolean;

/** Records: what the product's encoder makes, with true and false. */
function plain(item: Plain): Bytes {
  if (item === true || item === false) return Uint8Array.of(item ? 0xf5 : 0xf4);
  if (Array.isArray(item)) return join(head(4, item.length), ...item.map(plain));
  if (item instanceof Map) {
    const pairs = [...item].map(([k, v]) => [encode(k), plain(v)] as const).sort(([a], [b]) => Buffer.compare(a, b));
    return join(head(5, item.size), ...pairs.flat());
  }
  return encode(item);
}

export const record = (fields: Record<string, Plain>): Bytes => new Uint8Array(deflateSync(plain(new Map(Object.entries(fields)))));

export interface Sealing {
  kind?: string;
  body?: Bytes;
  t_ms?: number;
  epoch?: number;
  seq?: number;
  prev?: Bytes;
  anchor?: { size: number; root: Bytes };
  signer?: Key;
}

/** One subject's chain. */
export class Sealer {
  seq = 0;
  prev: Bytes = ZERO;
  constructor(
    readonly subject: string,
    readonly key: Key,
    public epoch = 1,
  ) {}

  seal(sealing: Sealing = {}): { raw: Bytes; body: Bytes } {
    const { kind = 'data', epoch = this.epoch, seq = this.seq, prev = this.prev, t_ms = T0_MS + this.seq * 10_000, signer = this.key } = sealing;
    const body = sealing.body ?? record({ n: seq });
    const anchor = sealing.anchor ?? { size: 0, root: ZERO };
    const chain: Item = [1, epoch, 1, seq, prev, 1000 * seq, t_ms, t_ms + 9000, 10, anchor.size, anchor.root];
    const claims = new Map<number, Item>([[1, ORIGIN], [2, this.subject]]);
    const header = new Map<number, Item>([[1, -19], [4, signer.kid], [15, claims], [258, -16], [259, `application/vnd.minetwin.${kind}`], [-70001, chain]]);
    const protectedBytes = encode(header);
    const payload = digest(body);
    const signed = join(Uint8Array.of(0x84, 0x6a), ascii('Signature1'), head(2, protectedBytes.length), protectedBytes, Uint8Array.of(0x40), head(2, 32), payload);
    const raw = join(head(6, 18), head(4, 4), head(2, protectedBytes.length), protectedBytes, head(5, 0), head(2, 32), payload, head(2, 64), signer.sign(signed));
    this.seq = seq + 1;
    this.prev = digest(raw);
    return { raw, body };
  }
}

/** A log that a server would hold: entries, bodies, tree, checkpoint. */
export class TestLog implements Source {
  readonly logKey = key('log');
  readonly server = new Sealer(ORIGIN, this.logKey, 0);
  readonly gateways = new Map<string, Sealer>();
  readonly entries: Bytes[] = [];
  readonly stored = new Map<string, Bytes>();
  tree = new Tree();
  /** Told instead of the true head. */
  note: string | null = null;
  asked: string[] = [];

  constructor() {
    this.state('genesis', { simulated: true, log_vkey: this.vkey });
  }

  get vkey(): string {
    const id = digest(join(ascii(`${ORIGIN}\n`), Uint8Array.of(1), this.logKey.public)).slice(0, 4);
    return `${ORIGIN}+${hex(id)}+${base64(join(Uint8Array.of(1), this.logKey.public))}`;
  }

  append(entry: { raw: Bytes; body: Bytes | null }): number {
    const index = this.entries.push(entry.raw) - 1;
    this.tree.append(leafHash(entry.raw));
    if (entry.body) this.stored.set(hex(digest(entry.body)), entry.body);
    return index;
  }

  state(kind: string, fields: Record<string, Plain>): number {
    return this.append(this.server.seal({ kind, body: record(fields), t_ms: T0_MS }));
  }

  enrol(gateway: string, epoch = 1, signer = key(`${gateway}/${epoch}`), prev: Bytes = ZERO): Sealer {
    const sealer = new Sealer(gateway, signer, epoch);
    sealer.prev = prev;
    this.gateways.set(gateway, sealer);
    const fields = { gateway, epoch, public: signer.public, log_public: this.logKey.public, mac: ZERO, software: 'test/1' };
    this.append(sealer.seal({ kind: 'enrol', body: record(fields) }));
    return sealer;
  }

  /** `count` batches of a gateway, 10 s apart. */
  batches(gateway: string, count: number): number[] {
    const sealer = this.gateways.get(gateway)!;
    return Array.from({ length: count }, () => this.append(sealer.seal()));
  }

  /** Changes a byte of a stored entry; the server's tiles keep the hash of the true one. */
  flipEntry(index: number, at: number): void {
    const raw = this.entries[index]!.slice();
    raw[at]! ^= 1;
    this.entries[index] = raw;
  }

  flipBody(body: Bytes): void {
    const bad = body.slice();
    bad[bad.length - 1]! ^= 1;
    this.stored.set(hex(digest(body)), bad);
  }

  /** A tree and tiles made anew over the entries as they are: a server that stands by its changes. */
  rebuild(): void {
    this.tree = new Tree();
    for (const raw of this.entries) this.tree.append(leafHash(raw));
  }

  async hints(): ReturnType<Source['hints']> {
    return { origin: ORIGIN, log_vkey: this.vkey, gateways: [] };
  }

  async checkpoint(): Promise<string> {
    if (this.note !== null) return this.note;
    const text = `${ORIGIN}\n${this.tree.size}\n${base64(this.tree.root(this.tree.size)!)}\n`;
    const id = digest(join(ascii(`${ORIGIN}\n`), Uint8Array.of(1), this.logKey.public)).slice(0, 4);
    return `${text}\n\u2014 ${ORIGIN} ${base64(join(id, this.logKey.sign(ascii(text))))}\n`;
  }

  async bundle(n: number, width: number): Promise<Bytes[]> {
    return this.entries.slice(256 * n, 256 * n + width);
  }

  async tile(_: number, n: number, width: number): Promise<Bytes[]> {
    return Array.from({ length: width }, (_unused, at) => this.tree.leaf(256 * n + at).slice());
  }

  async body(name: string): Promise<Bytes | null> {
    this.asked.push(name);
    return this.stored.get(name) ?? null;
  }
}
