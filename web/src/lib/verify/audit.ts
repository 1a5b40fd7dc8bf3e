/** Checks a log from its bytes alone: form, tree, keys, chains, bodies, gaps, anchors; names every fault. Pure.

It judges as `twin_server/auditor.py` does. What the log says decides: keys come from its enrol entries, gaps from its
gap records, times of receipt from the server's clock statements.
*/
import { Fault, hex, same, type Bytes } from './bytes';
import { readRecord } from './body';
import type { Item } from './cbor';
import { Book } from './chain';
import type { Epoch, FaultKind, Finding, Note, NoteKind } from './findings';
import { keyText, PublicKey } from './keys';
import { digest, leafHash } from './merkle';
import { readStatement, type Statement } from './statement';
import { Tree } from './tree';

const LATE_MS = 60_000;
const FINDINGS_MAX = 500;
/** Kinds whose bodies an audit cannot do without. */
const NEEDED = new Set(['genesis', 'enrol', 'gap', 'clock', 'restore', 'revoke']);

/** An entry to be judged: whose key has to have signed it. */
export interface Signed {
  index: number;
  statement: Statement;
  key: PublicKey;
}

/** An entry as it came: `leaf` is the hash that the server's tile has in its place, null where tiles were not asked. */
export interface Seen {
  index: number;
  raw: Bytes;
  leaf: Bytes | null;
  /** What reading it gave, where that was done already. */
  read?: Statement | Fault;
}

type Run = [number, number];
const named = (subject: string, epoch: number): string => `${subject}\0${epoch}`;

/** Takes entries in rising order of index from 0 on, and the bodies that `wants` asks for right after their entry. */
export class Auditor {
  readonly tree = new Tree();
  readonly findings: Finding[] = [];
  readonly notes: Note[] = [];
  more = 0;
  simulated = false;
  readonly counts = { entries: 0, data: 0, bodies: 0, signatures: 0, vouched: 0, anchors: 0, given_up: 0, late: 0 };
  /** Entries that differ from the tile's hash: leaf hashes as the tiles have them. */
  readonly differing = new Map<number, Bytes>();
  private readonly books = new Map<string, Book>();
  private readonly gaps = new Map<string, Run[]>();
  private readonly revoked = new Map<string, number>(); // the entry that says so
  private readonly unread: number[] = [];
  private readonly readable = new Map<number, Statement>(); // entries that are not the tree's, by what they say
  private readonly absent: { index: number; statement: Statement }[] = [];
  private readonly ends_ms = new Map<number, { gateway: string; t1_ms: number }>();
  private readonly keyless = new Map<string, Finding>();
  private readonly foreign = new Map<string, Finding>(); // by gateway, its first anchor that is not in this log
  private readonly bad = new Set<number>(); // of these the signature does not hold
  private readonly extra = new Set<number>(); // signatures to check whatever the chains say
  private readonly good = new Set<number>();
  private held: { index: number; statement: Statement; book: Book } | null = null;

  constructor(
    readonly origin: string,
    private readonly key: PublicKey,
    readonly logVkey: string,
  ) {
    this.books.set(named(origin, 0), new Book(origin, 0, key, 0));
  }

  /** Takes the hashes of a full tile of entries before the entries themselves. */
  takeTile(rows: readonly Bytes[]): void {
    this.tree.appendTile(rows);
  }

  /** Takes the next entry; returns its statement when it is one and is the one that the tree holds. */
  take(seen: Seen): Statement | null {
    const { index, raw } = seen;
    this.counts.entries++;
    if (index >= this.tree.size) this.tree.append(leafHash(raw));
    const own = this.tree.leaf(index);
    const read = seen.read ?? readOrFault(raw);
    const statement = read instanceof Fault ? null : read;
    const detail = read instanceof Fault ? read.message : '';
    if (seen.leaf && !same(own, seen.leaf)) {
      this.differing.set(index, seen.leaf);
      this.unread.push(index);
      if (statement) this.readable.set(index, statement);
      this.add('entry', index, null, statement ? `it reads as ${statement.subject} ${statement.chain.epoch}/${statement.chain.seq}` : detail);
      return null;
    }
    if (!statement) {
      this.unread.push(index);
      this.add('form', index, null, detail);
      return null;
    }
    if (statement.issuer !== this.origin) this.add('form', index, statement, `statement for the log ${statement.issuer}`);
    if (statement.kind === 'data') this.counts.data++;
    this.anchor(index, statement);
    return statement;
  }

  /** Whether the audit needs the body of this statement, whatever was asked for. */
  wants(statement: Statement): boolean {
    return NEEDED.has(statement.kind);
  }

  /** Takes the body of an entry just taken (null: not there), and puts the entry into its chain. */
  async enter(index: number, statement: Statement, body: Bytes | null | undefined): Promise<Signed | null> {
    let record: Map<string, Item> | null = null;
    if (statement.kind === 'data') this.ends_ms.set(index, { gateway: statement.subject, t1_ms: statement.chain.t1_ms });
    if (body === null) this.absent.push({ index, statement });
    else if (body) {
      this.counts.bodies++;
      if (!same(digest(body), statement.digest)) this.add('altered', index, statement, `${body.length} bytes`);
      else if (NEEDED.has(statement.kind)) record = await this.record(index, statement, body);
    }
    if (record && statement.kind === 'enrol') this.enrol(index, statement, record);
    else if (record) this.note(index, statement, record);
    const book = this.books.get(named(statement.subject, statement.chain.epoch));
    if (!book) {
      this.unknownKey(index, statement);
      return null;
    }
    const revoked = this.revoked.get(named(statement.subject, statement.chain.epoch));
    if (revoked !== undefined) this.add('revoked', index, statement, `by entry ${revoked}`);
    this.hold(index, statement, book);
    return { index, statement, key: book.key };
  }

  private async record(index: number, statement: Statement, body: Bytes): Promise<Map<string, Item> | null> {
    try {
      return await readRecord(body);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add('form', index, statement, `its record: ${error.message}`);
      return null;
    }
  }

  private enrol(index: number, statement: Statement, record: Map<string, Item>): void {
    const { subject, chain } = statement;
    if (this.books.has(named(subject, chain.epoch))) return;
    const [key, log] = [record.get('public'), record.get('log_public')];
    if (!(key instanceof Uint8Array) || !(log instanceof Uint8Array) || record.get('gateway') !== subject || record.get('epoch') !== chain.epoch || !same(log, this.key.raw)) {
      return void this.add('key', index, statement, 'the enrol record is for another gateway, epoch or log');
    }
    try {
      this.books.set(named(subject, chain.epoch), new Book(subject, chain.epoch, new PublicKey(key), index));
      this.extra.add(index);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add('key', index, statement, error.message);
    }
  }

  /** Remembers what a gap, clock, genesis or restore record says. */
  private note(index: number, statement: Statement, record: Map<string, Item>): void {
    const ours = statement.subject === this.origin;
    if (statement.kind === 'gap') {
      const [epoch, ranges] = [record.get('epoch'), record.get('ranges')];
      if (typeof epoch !== 'number' || !Array.isArray(ranges)) return;
      const said = this.gaps.get(named(statement.subject, epoch)) ?? [];
      said.push(...ranges.filter(isRun));
      this.gaps.set(named(statement.subject, epoch), said);
    } else if (statement.kind === 'genesis' && ours) {
      this.simulated = record.get('simulated') === true;
      if (index || record.get('log_vkey') !== this.logVkey) this.add('key', index, statement, 'the genesis entry names another key, or is not the first entry');
    } else if (statement.kind === 'revoke' && ours) this.revoke(index, record);
    else if (statement.kind === 'clock' && ours) this.received(record);
    else if (statement.kind === 'restore' && ours) this.remark('restored', statement.subject, 0, index, index, 1);
  }

  private revoke(index: number, record: Map<string, Item>): void {
    const [gateway, epoch, first] = [record.get('gateway'), record.get('epoch'), record.get('suspect_from')];
    if (typeof gateway !== 'string' || typeof epoch !== 'number' || this.revoked.has(named(gateway, epoch))) return;
    this.revoked.set(named(gateway, epoch), index);
    if (typeof first === 'number' && first >= 0 && first < index) this.remark('suspect', gateway, epoch, first, index, 1);
  }

  private received(record: Map<string, Item>): void {
    const [first, times] = [record.get('from'), record.get('received_ms')];
    if (typeof first !== 'number' || !Array.isArray(times)) return;
    times.forEach((time_ms, n) => {
      const known = this.ends_ms.get(first + n);
      this.ends_ms.delete(first + n);
      if (!known || typeof time_ms !== 'number' || time_ms - known.t1_ms <= LATE_MS) return;
      this.counts.late++;
      const before = this.notes.find((note) => note.kind === 'late' && note.gateway === known.gateway);
      if (before) before.count++;
      else this.remark('late', known.gateway, -1, -1, -1, 1);
    });
  }

  private anchor(index: number, statement: Statement): void {
    const { anchor_size, anchor_root } = statement.chain;
    if (!anchor_size || this.differing.size) return; // once entries are not the tree's, roots from here on say nothing
    this.counts.anchors++;
    const root = anchor_size <= index ? this.tree.root(anchor_size) : null;
    if (root && same(root, anchor_root)) return;
    const before = this.foreign.get(statement.subject);
    if (before) before.count++;
    else this.foreign.set(statement.subject, this.add('anchor', index, statement, `it was sealed on a log of ${anchor_size} entries that is not this one`));
  }

  private unknownKey(index: number, statement: Statement): void {
    const name = named(statement.subject, statement.chain.epoch);
    const before = this.keyless.get(name);
    if (before) return void before.count++;
    this.keyless.set(name, this.add('key', index, statement, `key ${keyText(statement.kid)} was not enrolled before`));
  }

  /** Puts the entry before this one into its chain, unless this one is the server's word that it is disputed. */
  private hold(index: number, statement: Statement, book: Book): void {
    if (this.held && statement.kind === 'fork' && statement.subject === this.origin) {
      this.extra.add(this.held.index);
      this.add('contradiction', this.held.index, this.held.statement, 'the server says that it contradicts what the gateway had said before');
      this.held = null;
    }
    this.release();
    this.held = { index, statement, book };
  }

  private release(): void {
    const held = this.held;
    this.held = null;
    if (!held) return;
    const outcome = held.book.enter(held.statement, held.index);
    if (outcome === 'entered') return;
    if (outcome === 'other') this.extra.add(held.index);
    const first = held.book.indexOf(held.statement.chain.seq);
    this.add(outcome === 'same' ? 'duplicate' : 'contradiction', held.index, held.statement, `entry ${first} has this number already`);
  }

  /** Places in the log of the statements whose signatures have to be checked; call after the last entry. */
  vouchers(): number[] {
    this.release();
    const wanted = new Set(this.extra);
    for (const book of this.books.values()) for (const index of book.vouchers()) wanted.add(index);
    return [...wanted].filter((index) => !this.good.has(index)).sort((a, b) => a - b);
  }

  /** The key that has to have signed this statement. */
  keyOf(statement: Statement): PublicKey | null {
    return this.books.get(named(statement.subject, statement.chain.epoch))?.key ?? null;
  }

  /** The outcome of one signature: '' when it holds. */
  judged(index: number, statement: Statement, fault: string): void {
    this.counts.signatures++;
    if (!fault) return void this.good.add(index);
    this.bad.add(index);
    this.add('signature', index, statement, fault);
  }

  /** Names what is still open; call once, after the signatures. `sound`: the entries make the signed root.

  When they do not, anchors say nothing new: the roots they name cannot be those of changed entries.
  */
  finish(sound: boolean): Epoch[] {
    if (!sound) this.findings.splice(0, this.findings.length, ...this.findings.filter((each) => each.kind !== 'anchor'));
    const attributed = new Set<number>();
    for (const book of this.books.values()) {
      for (const { index, seq, text } of book.breaks) {
        // a statement that was changed breaks the joints on both sides: it is named once, by its signature
        if (!this.bad.has(index) && !this.bad.has(book.indexOf(seq - 1))) this.addAt('chain', index, book, seq, seq, text);
      }
      this.firstOf(book);
      for (const { first, last } of book.holes()) this.missing(book, first, last, attributed);
      this.counts.vouched += book.reached(this.good);
    }
    for (const [index, { subject, chain }] of this.readable) {
      const book = this.books.get(named(subject, chain.epoch));
      if (book && !attributed.has(index) && book.indexOf(chain.seq) < 0) this.attribute(index, book, chain.seq);
    }
    for (const { index, statement } of this.absent) this.bodyAbsent(index, statement);
    this.findings.sort((a, b) => a.index - b.index || a.gateway.localeCompare(b.gateway) || a.epoch - b.epoch || a.seq - b.seq);
    return [...this.books.values()].filter((book) => book.subject !== this.origin).map(summaryOf);
  }

  /** How an epoch begins: at nothing, or at the last statement of the one before. */
  private firstOf(book: Book): void {
    const prev = book.prevOf(0);
    if (!prev) return;
    const before = this.books.get(named(book.subject, book.epoch - 1));
    if (!prev.some(Boolean)) {
      if (before) this.remark('new_box', book.subject, book.epoch, 0, 0, 1);
      return;
    }
    const last = before?.hashOf(before.lastSeq);
    if (!last || !same(last, prev)) this.addAt('chain', book.indexOf(0), book, 0, 0, 'the epoch does not continue the one before');
  }

  /** Numbers that never came: where as many entries between their neighbours cannot be read, those are the ones. */
  private missing(book: Book, first: number, last: number, attributed: Set<number>): void {
    const [low, high] = [book.indexOf(first - 1), book.indexOf(last + 1)];
    const found = this.unread.filter((index) => index > low && index < high && !attributed.has(index));
    if (found.length === last - first + 1) {
      found.forEach((index, n) => this.attribute(index, book, first + n));
      return found.forEach((index) => attributed.add(index));
    }
    if (this.explained(book.subject, book.epoch, first, last)) this.remark('explained', book.subject, book.epoch, first, last, last - first + 1);
    else this.addAt('missing', -1, book, first, last, 'no gap record says why', last - first + 1);
  }

  private attribute(index: number, book: Book, seq: number): void {
    const finding = this.findings.find((each) => each.index === index);
    if (finding) Object.assign(finding, { gateway: book.subject, epoch: book.epoch, seq, last: seq });
  }

  private bodyAbsent(index: number, statement: Statement): void {
    const { epoch, seq } = statement.chain;
    if (!this.explained(statement.subject, epoch, seq, seq)) return void this.add('absent', index, statement, 'no gap record says why');
    this.counts.given_up++;
    const before = this.notes.find((note) => note.kind === 'given_up' && note.gateway === statement.subject && note.epoch === epoch && note.last === seq - 1);
    if (before) Object.assign(before, { last: seq, count: before.count + 1 });
    else this.remark('given_up', statement.subject, epoch, seq, seq, 1);
  }

  private explained(subject: string, epoch: number, first: number, last: number): boolean {
    let left = first;
    for (const [low, high] of [...(this.gaps.get(named(subject, epoch)) ?? [])].sort((a, b) => a[0] - b[0])) if (low <= left && left <= high) left = high + 1;
    return left > last;
  }

  /** A fault of one entry, or of the log as a whole (index -1, no statement). */
  add(kind: FaultKind, index: number, statement: Statement | null, detail: string): Finding {
    const { epoch, seq } = statement?.chain ?? { epoch: -1, seq: -1 };
    return this.put({ kind, index, gateway: statement?.subject ?? '', epoch, seq, last: seq, count: 1, detail });
  }

  private addAt(kind: FaultKind, index: number, book: Book, seq: number, last: number, detail: string, count = 1): void {
    this.put({ kind, index, gateway: book.subject, epoch: book.epoch, seq, last, count, detail });
  }

  private put(finding: Finding): Finding {
    if (this.findings.length < FINDINGS_MAX) this.findings.push(finding);
    else this.more++;
    return finding;
  }

  private remark(kind: NoteKind, gateway: string, epoch: number, seq: number, last: number, count: number): void {
    this.notes.push({ kind, gateway, epoch, seq, last, count });
  }
}

/** A statement, or why it is none. */
export function readOrFault(raw: Bytes, read: (raw: Bytes) => Statement = readStatement): Statement | Fault {
  try {
    return read(raw);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return error;
  }
}

function summaryOf(book: Book): Epoch {
  const data = Number.isFinite(book.first_ms);
  return {
    gateway: book.subject,
    epoch: book.epoch,
    kid: hex(book.key.kid),
    enrolled_index: book.enrolled_index,
    statements: book.size,
    last_seq: book.lastSeq,
    first_ms: data ? book.first_ms : 0,
    last_ms: data ? book.last_ms : 0,
  };
}

function isRun(item: Item): item is [number, number] {
  return Array.isArray(item) && item.length === 2 && item.every((n) => typeof n === 'number');
}
