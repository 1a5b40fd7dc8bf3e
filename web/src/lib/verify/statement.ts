/** The signed statement: COSE over a body's hash, byte for byte the log's entry; and the envelope around it. */
import { FormatFault, join, ProofFault, same, type Bytes } from './bytes';
import { decode, head, Tag, type Item, type Key } from './cbor';
import type { PublicKey } from './keys';
import { digest } from './merkle';

const MEDIA = 'application/vnd.minetwin.';
const KINDS = new Set(['data', 'manifest', 'structure', 'ruleset', 'genesis', 'enrol', 'rotate', 'revoke', 'gap', 'clock', 'silence', 'fork', 'restore', 'calibration', 'acknowledgement', 'access', 'mark', 'witness', 'party', 'countersign', 'commissioning']);
const BYTES_MAX = 1024;
const NAME_BYTES_MAX = 128;
const SIGN1 = Uint8Array.from([0x84, 0x6a, ...[...'Signature1'].map((c) => c.charCodeAt(0))]);
const EMPTY = Uint8Array.of(0x40);
const ALGORITHM = 1;
const KID = 4;
const CLAIMS = 15;
const HASH = 258;
const TYPE = 259;
const CHAIN = -70001;

export interface Chain {
  epoch: number;
  boot: number;
  seq: number;
  prev: Bytes;
  mono_ms: number;
  t0_ms: number;
  t1_ms: number;
  rows: number;
  anchor_size: number;
  anchor_root: Bytes;
}

export interface Statement {
  raw: Bytes;
  kid: Bytes;
  issuer: string;
  subject: string;
  kind: string;
  digest: Bytes;
  chain: Chain;
  signature: Bytes;
  signed: Bytes;
  /** Its hash, where whoever read it has computed it already. */
  hash?: Bytes;
}

/** Reads a statement without judging its signature; throws FormatFault unless it is exactly in form. */
export function readStatement(raw: Bytes): Statement {
  if (raw.length > BYTES_MAX) throw new FormatFault(`statement of more than ${BYTES_MAX} bytes`);
  const outer = decode(raw, 6);
  const parts = outer instanceof Tag && outer.number === 18 ? outer.value : null;
  if (!Array.isArray(parts) || parts.length !== 4) throw new FormatFault('not a COSE_Sign1');
  const [protectedBytes, unprotected, payload, signature] = parts as [Item, Item, Item, Item];
  if (!(protectedBytes instanceof Uint8Array) || !(unprotected instanceof Map) || unprotected.size) throw new FormatFault('statement headers of wrong kind');
  if (!(payload instanceof Uint8Array) || payload.length !== 32) throw new FormatFault("statement's payload is not a SHA-256");
  if (!(signature instanceof Uint8Array) || signature.length !== 64) throw new FormatFault('signature is not 64 bytes');
  const header = decode(protectedBytes, 3);
  if (!(header instanceof Map) || header.size !== 6) throw new FormatFault('statement with other headers than its own');
  const [algorithm, kid, claims, type] = [ALGORITHM, KID, CLAIMS, TYPE].map((label) => header.get(label));
  if ((algorithm !== -19 && algorithm !== -8) || header.get(HASH) !== -16) throw new FormatFault('not Ed25519 over SHA-256');
  if (!(kid instanceof Uint8Array) || kid.length !== 8) throw new FormatFault('key id is not 8 bytes');
  if (!(claims instanceof Map) || claims.size !== 2) throw new FormatFault('statement without issuer and subject');
  const [issuer, subject] = [claims.get(1), claims.get(2)];
  if (!isName(issuer) || !isName(subject)) throw new FormatFault('issuer or subject is not a name');
  const signed = signedBytes(protectedBytes, payload);
  return { raw, kid, issuer, subject, kind: kindOf(type), digest: payload, chain: chainOf(header), signature, signed };
}

/** What a signature over these two covers. */
export function signedBytes(protectedBytes: Bytes, payload: Bytes): Bytes {
  return join(SIGN1, head(2, protectedBytes.length), protectedBytes, EMPTY, head(2, payload.length), payload);
}

function kindOf(type: Item | undefined): string {
  if (type === 'application/cbor') return 'data';
  const kind = typeof type === 'string' && type.startsWith(MEDIA) ? type.slice(MEDIA.length) : '';
  if (!KINDS.has(kind)) throw new FormatFault('unknown kind of statement');
  return kind;
}

/** Whether a text may name a log, gateway or issuer: 1 to 128 bytes, printable, no space and no plus. */
export function isName(text: Item | undefined): text is string {
  if (typeof text !== 'string' || !text || new TextEncoder().encode(text).length > NAME_BYTES_MAX) return false;
  return !/[\s+\p{C}\p{Z}]/u.test(text);
}

function chainOf(header: Map<Key, Item>): Chain {
  const fields = header.get(CHAIN);
  if (!Array.isArray(fields) || fields.length !== 11 || fields[0] !== 1) throw new FormatFault("statement's chain is not version 1");
  const [, epoch, boot, seq, prev, mono_ms, t0_ms, t1_ms, rows, anchor_size, anchor_root] = fields;
  const counts = [epoch, boot, seq, mono_ms, t0_ms, t1_ms, rows, anchor_size];
  if (!counts.every((n) => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0)) throw new FormatFault('chain field out of range');
  if (![prev, anchor_root].every((h) => h instanceof Uint8Array && h.length === 32)) throw new FormatFault('chain hash is not 32 bytes');
  if ((t0_ms as number) > (t1_ms as number)) throw new FormatFault("chain's earliest time lies after its latest");
  if (!anchor_size && (anchor_root as Bytes).some(Boolean)) throw new FormatFault('anchor root without a size');
  return { epoch, boot, seq, prev, mono_ms, t0_ms, t1_ms, rows, anchor_size, anchor_root } as Chain;
}

/** Throws ProofFault unless this key signed the statement. */
export async function checkStatement(statement: Statement, key: PublicKey): Promise<void> {
  if (!same(statement.kid, key.kid)) throw new ProofFault('statement names another key');
  await key.verify(statement.signature, statement.signed);
}

/** Throws ProofFault unless `now` is the very next statement after `last` (null: the first ever of its subject). */
export function checkSuccessor(last: Statement | null, now: Statement): void {
  const n = now.chain;
  if (!last) {
    if (n.seq || n.prev.some(Boolean)) throw new ProofFault('first statement with a predecessor');
    return;
  }
  const l = last.chain;
  if (last.issuer !== now.issuer || last.subject !== now.subject) throw new ProofFault('statements of different gateways or logs');
  const due = n.epoch === l.epoch ? l.seq + 1 : 0;
  if (n.epoch < l.epoch || n.seq !== due) throw new ProofFault(`statement ${n.epoch}/${n.seq} where ${l.epoch}/${l.seq + 1} was due`);
  if (!same(n.prev, digest(last.raw))) throw new ProofFault(`statement ${n.epoch}/${n.seq} does not continue the one before`);
  if (n.epoch === l.epoch && !same(now.kid, last.kid)) throw new ProofFault(`key changed inside epoch ${n.epoch}`);
  if (n.epoch === l.epoch && (n.boot < l.boot || (n.boot === l.boot && n.mono_ms < l.mono_ms))) throw new ProofFault(`boot or monotonic clock fell at ${n.epoch}/${n.seq}`);
}

/** Splits [statement, body]; the body is null where it was given up. */
export function readEnvelope(data: Bytes): { statement: Bytes; body: Bytes | null } {
  const item = decode(data);
  const [statement, body] = Array.isArray(item) && item.length === 2 ? item : [];
  if (!(statement instanceof Uint8Array) || !(body === null || body instanceof Uint8Array)) throw new FormatFault('envelope is not [statement, body]');
  return { statement, body };
}
