/** The chains of an audit: every statement of a gateway's epoch in order of its number, whatever the order of arrival.

Of each statement a row of a table is kept, not the statement: a month is hundreds of thousands of them.
*/
import { same, type Bytes } from './bytes';
import type { PublicKey } from './keys';
import { digest } from './merkle';
import type { Statement } from './statement';

const DAY_MS = 86_400_000;
const HASH = 32;
const ROOM = 256;

export interface Break {
  /** The statement that does not continue the one before it. */
  index: number;
  seq: number;
  text: string;
}

export interface Span {
  first: number;
  last: number;
}

/** One epoch of one subject. */
export class Book {
  readonly breaks: Break[] = [];
  first_ms = Infinity;
  last_ms = 0;
  private readonly rowOf = new Map<number, number>();
  private readonly index: number[] = [];
  private readonly boot: number[] = [];
  private readonly mono_ms: number[] = [];
  private readonly day: number[] = [];
  private readonly kid: number[] = [];
  private readonly kids: Bytes[] = []; // those that `kid` counts: one, where all is well
  private readonly broken = new Set<number>();
  private hashes = new Uint8Array(2 * HASH * ROOM); // of each row: its own hash, then its prev

  constructor(
    readonly subject: string,
    readonly epoch: number,
    readonly key: PublicKey,
    readonly enrolled_index: number,
  ) {}

  get size(): number {
    return this.index.length;
  }

  /** Where in the log number `seq` is; -1 when it has not come. */
  indexOf(seq: number): number {
    const row = this.rowOf.get(seq);
    return row === undefined ? -1 : this.index[row]!;
  }

  hashOf(seq: number): Bytes | null {
    const row = this.rowOf.get(seq);
    return row === undefined ? null : this.hashes.subarray(2 * HASH * row, 2 * HASH * row + HASH);
  }

  prevOf(seq: number): Bytes | null {
    const row = this.rowOf.get(seq);
    return row === undefined ? null : this.hashes.subarray(2 * HASH * row + HASH, 2 * HASH * (row + 1));
  }

  /** Enters a statement and checks its joints with both neighbours; what was there already stays: then its hash says which. */
  enter(statement: Statement, index: number): 'entered' | 'same' | 'other' {
    const { seq, boot, mono_ms, t0_ms, t1_ms, prev } = statement.chain;
    const own = statement.hash ?? digest(statement.raw);
    const held = this.hashOf(seq);
    if (held) return same(held, own) ? 'same' : 'other';
    const row = this.index.push(index) - 1;
    this.rowOf.set(seq, row);
    this.boot.push(boot);
    this.mono_ms.push(mono_ms);
    this.day.push(Math.floor(t1_ms / DAY_MS));
    this.kid.push(this.kidOf(statement.kid));
    if (2 * HASH * (row + 1) > this.hashes.length) {
      const more = new Uint8Array(2 * this.hashes.length);
      more.set(this.hashes);
      this.hashes = more;
    }
    this.hashes.set(own, 2 * HASH * row);
    this.hashes.set(prev, 2 * HASH * row + HASH);
    if (statement.kind === 'data') {
      this.first_ms = Math.min(this.first_ms, t0_ms);
      this.last_ms = Math.max(this.last_ms, t1_ms);
    }
    this.join(seq);
    this.join(seq + 1);
    return 'entered';
  }

  private kidOf(kid: Bytes): number {
    const known = this.kids.findIndex((each) => same(each, kid));
    return known < 0 ? this.kids.push(kid.slice()) - 1 : known;
  }

  /** Checks the joint between seq - 1 and seq, if both are here. */
  private join(seq: number): void {
    const [before, now] = [this.rowOf.get(seq - 1), this.rowOf.get(seq)];
    if (before === undefined || now === undefined) return;
    const text = !same(this.prevOf(seq)!, this.hashOf(seq - 1)!)
      ? 'it does not continue the statement before it'
      : this.kid[now] !== this.kid[before]
        ? 'the key changed inside an epoch'
        : this.boot[now]! < this.boot[before]! || (this.boot[now] === this.boot[before] && this.mono_ms[now]! < this.mono_ms[before]!)
          ? 'boot or monotonic clock fell'
          : '';
    if (!text) return;
    this.broken.add(seq);
    this.breaks.push({ index: this.index[now]!, seq, text });
  }

  /** Numbers from 0 to the newest that never came. */
  holes(): Span[] {
    const found: Span[] = [];
    let due = 0;
    for (const seq of this.seqs()) {
      if (seq > due) found.push({ first: due, last: seq - 1 });
      due = seq + 1;
    }
    return found;
  }

  get lastSeq(): number {
    let last = -1;
    for (const seq of this.rowOf.keys()) last = Math.max(last, seq);
    return last;
  }

  /** Places in the log of the statements whose signatures vouch for all others: run ends, both sides of a break, each day's last. */
  vouchers(): number[] {
    const found = new Set<number>();
    const seqs = this.seqs();
    seqs.forEach((seq, at) => {
      const row = this.rowOf.get(seq)!;
      const next = seqs[at + 1];
      const ends = next !== seq + 1 || this.broken.has(seq + 1) || this.broken.has(seq);
      if (ends || this.day[row] !== this.day[this.rowOf.get(next)!]) found.add(this.index[row]!);
    });
    return [...found];
  }

  /** How many statements unbroken chains reach from those of good signature, given by their places in the log. */
  reached(good: ReadonlySet<number>): number {
    let count = 0;
    let held = false;
    let above = Infinity;
    for (const seq of this.seqs().reverse()) {
      const signed = good.has(this.index[this.rowOf.get(seq)!]!);
      held = signed || (held && above === seq + 1 && !this.broken.has(above));
      if (held && !signed) count++;
      above = seq;
    }
    return count;
  }

  private seqs(): number[] {
    return [...this.rowOf.keys()].sort((a, b) => a - b);
  }
}
