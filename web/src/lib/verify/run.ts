/** Runs an audit over a source: fetches entries and bodies, feeds the auditor, compares heads, checks signatures. */
import { Auditor, readOrFault, type Signed } from './audit';
import { Fault, hex, same, type Bytes } from './bytes';
import { hashAt, inline, type Digest, type Digests } from './digests';
import type { Options, Progress, Report } from './findings';
import type { Hints } from './log';
import { readCheckpoint, parseVkey, type Checkpoint } from './note';
import { QuickReader } from './quick';
import { checkStatement, readStatement, type Statement } from './statement';

const WIDTH = 256;
const AHEAD = 12; // bundles fetched, hashed and read while one is judged …
const AHEAD_WITH_BODIES = 2; // … or so many, for bodies are large
const BODIES_AT_ONCE = 8;
const SIGNATURES_AT_ONCE = 64;

/** Where a log comes from. */
export interface Source {
  hints(): Promise<Hints>;
  checkpoint(): Promise<string>;
  bundle(n: number, width: number): Promise<Bytes[]>;
  tile(level: number, n: number, width: number): Promise<Bytes[]>;
  body(digest: string): Promise<Bytes | null>;
}

/** A head that this browser verified before. */
export interface Before {
  vkey: string;
  size: number;
  root: Bytes;
  checked_us: number;
  first_us: number;
}

export type Told = (progress: Progress) => void;

const now_us = (): number => Date.now() * 1000;
const width = (n: number, size: number): number => Math.min(WIDTH, size - n * WIDTH);

/** Checks the whole log; NoAnswer when the source fails. */
export async function runAudit(source: Source, options: Options, before: Before | null, told: Told, digest: Digest = inline): Promise<Report> {
  const audit = new Audit(source, options, before, told, digest);
  const report = await audit.run(true);
  if (!report.findings.some((each) => each.kind === 'tile')) return report;
  // the tiles are what is wrong: judge the entries, of which some were passed over, without them
  const again = await audit.run(false);
  again.findings.push(...report.findings.filter((each) => each.kind === 'tile'));
  return again;
}

interface Fetched {
  raws: Bytes[];
  leaves: Bytes[] | null;
  digests: Digests;
  read: (Statement | Fault)[];
  asked: boolean[];
  bodies: (Bytes | null)[];
}

class Audit {
  private readonly reader = new QuickReader();
  private judging = 0; // the bundle whose turn it is

  constructor(
    private readonly source: Source,
    private readonly options: Options,
    private readonly before: Before | null,
    private readonly told: Told,
    private readonly digest: Digest,
  ) {}

  async run(tiles: boolean): Promise<Report> {
    const begun_us = now_us();
    const { log_vkey: vkey } = await this.source.hints();
    const { name: origin, key } = parseVkey(vkey);
    const auditor = new Auditor(origin, key, vkey);
    const head = await this.head(auditor, vkey);
    if (head) {
      await this.entries(auditor, head.size, tiles);
      await this.signatures(auditor, head.size);
    }
    const sound = head !== null && this.heads(auditor, head);
    const epochs = auditor.finish(sound);
    const { checked_us, first_us } = this.before ?? { checked_us: 0, first_us: 0 };
    return {
      origin,
      vkey,
      size: head?.size ?? 0,
      root: head ? hex(head.root) : '',
      simulated: auditor.simulated,
      options: this.options,
      counts: auditor.counts,
      findings: auditor.findings,
      more: auditor.more,
      notes: auditor.notes,
      epochs,
      before: this.before && { size: this.before.size, checked_us, first_us },
      begun_us,
      ended_us: now_us(),
    };
  }

  private async head(auditor: Auditor, vkey: string): Promise<Checkpoint | null> {
    const note = await this.source.checkpoint();
    if (this.before && this.before.vkey !== vkey) auditor.add('rekeyed', -1, null, `the key seen here before is ${this.before.vkey}, now it is ${vkey}`);
    try {
      return await readCheckpoint(note, vkey);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      auditor.add('root', -1, null, error.message);
      return null;
    }
  }

  private async entries(auditor: Auditor, size: number, tiles: boolean): Promise<void> {
    const bundles = Math.ceil(size / WIDTH);
    const ahead = this.options.bodies ? AHEAD_WITH_BODIES : AHEAD;
    const fetched: Promise<Fetched>[] = [];
    for (let n = 0; n < bundles; n++) {
      this.judging = n;
      while (fetched.length < Math.min(bundles, n + ahead)) {
        const next = this.bundle(auditor, fetched.length, size, tiles);
        next.catch(() => undefined); // it is awaited in its turn
        fetched.push(next);
      }
      const bundle = await fetched[n]!.catch((error: unknown) => {
        if (!(error instanceof Fault)) throw error;
        auditor.add('form', n * WIDTH, null, error.message);
        return null;
      });
      delete fetched[n];
      if (!bundle) return; // without this bundle nothing behind it has a place
      await this.take(auditor, n * WIDTH, bundle);
      this.tell('entries', auditor, n * WIDTH + bundle.raws.length, size);
    }
  }

  /** Fetches a bundle with its tile and bodies, hashes and reads it: all that needs no entry before it. */
  private async bundle(auditor: Auditor, n: number, size: number, tiles: boolean): Promise<Fetched> {
    const wide = width(n, size);
    const leaves = tiles ? this.source.tile(0, n, wide) : null;
    leaves?.catch(() => undefined); // it is awaited below
    const raws = await this.source.bundle(n, wide);
    const digests = this.digest(raws, raws.length === WIDTH);
    const read = raws.map((raw) => readOrFault(raw, (each) => this.reader.read(each)));
    const asked = read.map((each) => !(each instanceof Fault) && (this.options.bodies || auditor.wants(each)));
    const bodies = await this.bodies(read.map((each, at) => (asked[at] ? (each as Statement) : null)), (at) => {
      if (n === this.judging) this.tell('entries', auditor, n * WIDTH + at, size);
    });
    return { raws, leaves: await leaves, digests: await digests, read, asked, bodies };
  }

  private async take(auditor: Auditor, first: number, { raws, leaves, digests, read, asked, bodies }: Fetched): Promise<void> {
    if (digests.rows.length > 1) auditor.takeTile(digests.rows);
    const signed: Signed[] = [];
    const statements = raws.map((raw, at) => auditor.take({ index: first + at, raw, leaf: leaves?.[at] ?? null, read: read[at]! }));
    for (const [at, statement] of statements.entries()) {
      if (!statement) continue;
      statement.hash = hashAt(digests.own, at);
      const entry = await auditor.enter(first + at, statement, asked[at] ? bodies[at]! : undefined);
      if (entry && this.options.every) signed.push(entry);
    }
    await this.judge(auditor, signed);
  }

  /** Bodies in the order of the statements; null where none is asked or there. */
  private async bodies(statements: (Statement | null)[], reached: (at: number) => void): Promise<(Bytes | null)[]> {
    const found: (Bytes | null)[] = statements.map(() => null);
    const places = statements.flatMap((each, at) => (each ? [at] : []));
    let next = 0;
    const one = async (): Promise<void> => {
      for (let at = places[next++]; at !== undefined; at = places[next++]) {
        found[at] = await this.source.body(hex(statements[at]!.digest));
        reached(at);
      }
    };
    await Promise.all(Array.from({ length: BODIES_AT_ONCE }, one));
    return found;
  }

  /** The signatures that vouch for all other statements. */
  private async signatures(auditor: Auditor, size: number): Promise<void> {
    const wanted = auditor.vouchers();
    let done = 0;
    for (let at = 0; at < wanted.length; ) {
      const n = Math.floor(wanted[at]! / WIDTH);
      const raws = await this.source.bundle(n, width(n, size));
      const signed: Signed[] = [];
      for (; at < wanted.length && Math.floor(wanted[at]! / WIDTH) === n; at++) {
        const entry = again(auditor, wanted[at]!, raws[wanted[at]! % WIDTH]!);
        if (entry) signed.push(entry);
        done++;
      }
      await this.judge(auditor, signed);
      this.tell('signatures', auditor, done, wanted.length);
    }
  }

  private async judge(auditor: Auditor, signed: Signed[]): Promise<void> {
    for (let at = 0; at < signed.length; at += SIGNATURES_AT_ONCE) {
      const part = signed.slice(at, at + SIGNATURES_AT_ONCE);
      const faults = await Promise.all(part.map(signatureFault));
      part.forEach(({ index, statement }, n) => auditor.judged(index, statement, faults[n]!));
    }
  }

  /** Compares what was rebuilt with what was signed, and with what this browser remembers; whether the entries make the root. */
  private heads(auditor: Auditor, head: Checkpoint): boolean {
    if (auditor.tree.size < head.size) {
      auditor.add('root', -1, null, `only ${auditor.tree.size} of ${head.size} entries could be read`);
      return false;
    }
    const sound = same(auditor.tree.root(head.size)!, head.root);
    let truth = auditor.tree;
    if (auditor.differing.size) {
      const tree = auditor.tree.replaced(auditor.differing);
      if (sound) auditor.add('tile', [...auditor.differing.keys()][0]!, null, 'the hash in the tile is not that of the entry in the tree');
      else if (same(tree.root(head.size)!, head.root)) truth = tree;
      else auditor.add('root', -1, null, `neither the entries nor the tiles make the root that was signed for size ${head.size}`);
    } else if (!sound) auditor.add('root', -1, null, `the entries do not make the root that was signed for size ${head.size}`);
    if (this.before && this.before.vkey === auditor.logVkey) {
      if (this.before.size > head.size) auditor.add('shrunk', -1, null, `it had ${this.before.size} entries`);
      else if (!same(truth.root(this.before.size)!, this.before.root)) auditor.add('rewritten', -1, null, `the first ${this.before.size} entries are not those seen before`);
    }
    return sound;
  }

  private tell(phase: Progress['phase'], auditor: Auditor, done: number, of: number): void {
    this.told({ phase, done, of, faults: auditor.findings.length + auditor.more });
  }
}

/** An entry fetched a second time has to be the one that was hashed. */
function again(auditor: Auditor, index: number, raw: Bytes): Signed | null {
  if (!auditor.tree.holds(index, raw)) {
    auditor.add('entry', index, null, 'it was served in two forms');
    return null;
  }
  const statement = readStatement(raw);
  const key = auditor.keyOf(statement);
  return key && { index, statement, key };
}

async function signatureFault({ statement, key }: Signed): Promise<string> {
  try {
    await checkStatement(statement, key);
    return '';
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return error.message;
  }
}
