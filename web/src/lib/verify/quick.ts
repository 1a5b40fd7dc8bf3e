/** Reads statements that differ from one read before only in their numbers, hashes and signature; strict all the same.

The header before the chain is the same bytes in every statement of a gateway, key and kind. Where it is, and all that
follows has its one form, the statement is read without decoding; whatever is otherwise goes to `readStatement`.
*/
import { same, type Bytes } from './bytes';
import { readStatement, signedBytes, type Chain, type Statement } from './statement';

const CHAIN_BEGINS = [0x8b, 0x01];
const TEMPLATES_MAX = 16;
const TAIL_BYTES = 1 + 34 + 66; // no other headers, digest, signature

interface Template {
  /** The protected header up to the chain's version. */
  head: Bytes;
  like: Statement;
}

class Read implements Statement {
  hash?: Bytes;

  constructor(
    readonly raw: Bytes,
    private readonly like: Statement,
    readonly chain: Chain,
    private readonly from: number,
    private readonly to: number,
  ) {}

  get kid(): Bytes {
    return this.like.kid;
  }
  get issuer(): string {
    return this.like.issuer;
  }
  get subject(): string {
    return this.like.subject;
  }
  get kind(): string {
    return this.like.kind;
  }
  get digest(): Bytes {
    return this.raw.subarray(this.to + 3, this.to + 35);
  }
  get signature(): Bytes {
    return this.raw.subarray(this.to + 37, this.to + 101);
  }
  get signed(): Bytes {
    return signedBytes(this.raw.subarray(this.from, this.to), this.digest);
  }
}

/** Reads many statements of few writers; what it gives is what `readStatement` gives. */
export class QuickReader {
  private readonly templates: Template[] = [];
  private at = 0;

  /** Throws FormatFault unless it is exactly in form. */
  read(raw: Bytes): Statement {
    const found = this.quick(raw);
    if (found) return found;
    const statement = readStatement(raw);
    this.learn(raw, statement);
    return statement;
  }

  private quick(raw: Bytes): Statement | null {
    const from = protectedBegins(raw);
    const to = raw.length - TAIL_BYTES;
    if (!from || to < from) return null;
    for (let n = 0; n < this.templates.length; n++) {
      const template = this.templates[n]!;
      if (!begins(raw, from, template.head)) continue;
      if (n) [this.templates[0], this.templates[n]] = [template, this.templates[0]!];
      const chain = this.chain(raw, from + template.head.length);
      return chain && this.at === to && tailFits(raw, to) ? new Read(raw, template.like, chain, from, to) : null;
    }
    return null;
  }

  /** The ten fields after the version; null for any second form. */
  private chain(raw: Bytes, at: number): Chain | null {
    this.at = at;
    const [epoch, boot, seq] = [this.number(raw), this.number(raw), this.number(raw)];
    const prev = this.hash(raw);
    const [mono_ms, t0_ms, t1_ms, rows, anchor_size] = [this.number(raw), this.number(raw), this.number(raw), this.number(raw), this.number(raw)];
    const anchor_root = this.hash(raw);
    if (!prev || !anchor_root || Math.min(epoch, boot, seq, mono_ms, t0_ms, t1_ms, rows, anchor_size) < 0) return null;
    if (t0_ms > t1_ms || (!anchor_size && anchor_root.some(Boolean))) return null;
    return { epoch, boot, seq, prev, mono_ms, t0_ms, t1_ms, rows, anchor_size, anchor_root };
  }

  /** A whole number in its shortest form; -1 for anything else. */
  private number(raw: Bytes): number {
    const first = raw[this.at++]!;
    if (first < 24) return first;
    const width = first === 0x18 ? 1 : first === 0x19 ? 2 : first === 0x1a ? 4 : first === 0x1b ? 8 : 0;
    let number = 0;
    for (let n = 0; n < width; n++) number = number * 256 + raw[this.at++]!;
    const least = width === 1 ? 24 : width === 2 ? 0x100 : width === 4 ? 0x10000 : 0x100000000;
    return width && number >= least && number <= Number.MAX_SAFE_INTEGER ? number : -1;
  }

  private hash(raw: Bytes): Bytes | null {
    const at = this.at;
    if (raw[at] !== 0x58 || raw[at + 1] !== 32) return null;
    this.at = at + 34;
    return raw.subarray(at + 2, at + 34);
  }

  private learn(raw: Bytes, like: Statement): void {
    const from = protectedBegins(raw);
    const { epoch } = like.chain;
    if (!from || this.templates.length === TEMPLATES_MAX) return;
    for (let at = from; at < raw.length - 3; at++) {
      if (raw[at] !== CHAIN_BEGINS[0] || raw[at + 1] !== CHAIN_BEGINS[1]) continue;
      const chain = this.chain(raw, at + 2);
      // the very chain that was decoded, ending where the header ends: nothing else has this place
      if (!chain || chain.epoch !== epoch || chain.seq !== like.chain.seq || this.at !== raw.length - TAIL_BYTES || !same(chain.prev, like.chain.prev)) continue;
      this.templates.push({ head: raw.slice(from, at + 2), like });
      return;
    }
  }
}

/** Where the protected header begins, if its length fits the statement; else 0. */
function protectedBegins(raw: Bytes): number {
  if (raw.length > 1024 || raw[0] !== 0xd2 || raw[1] !== 0x84) return 0;
  const length = raw.length - TAIL_BYTES;
  if (raw[2] === 0x59 && raw[3]! >= 1) return length - 5 === ((raw[3]! << 8) | raw[4]!) ? 5 : 0;
  return raw[2] === 0x58 && raw[3]! >= 24 && length - 4 === raw[3]! ? 4 : 0;
}

function begins(raw: Bytes, from: number, head: Bytes): boolean {
  for (let at = 0; at < head.length; at++) if (raw[from + at] !== head[at]) return false;
  return true;
}

function tailFits(raw: Bytes, at: number): boolean {
  return raw[at] === 0xa0 && raw[at + 1] === 0x58 && raw[at + 2] === 32 && raw[at + 35] === 0x58 && raw[at + 36] === 64;
}
