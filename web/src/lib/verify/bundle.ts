/** Checks an evidence bundle from its bytes alone, and reads it; judges as `verify_evidence.py` in the bundle does. */
import { readBody, readRecord } from './body';
import { Fault, FormatFault, hex, ProofFault, same, type Bytes } from './bytes';
import type { Item } from './cbor';
import { keyText, PublicKey } from './keys';
import { groupsOf } from './log';
import { digest } from './merkle';
import { parseVkey, readCheckpoint, type Checkpoint } from './note';
import { Receipts } from './receipt';
import { pointsOf, Shown, type PointFacts, type PointReadings } from './shown';
import { checkStatement, readEnvelope, readStatement, type Statement } from './statement';
import { Archive } from './zip';

const FILE_BYTES_MAX = 2 << 20;
const RUN_MAX = 1 << 20;
const FINDINGS_MAX = 1000;
const RECORDS = new Set(['enrol', 'genesis', 'revoke', 'gap', 'manifest']);

export type BundleFault = 'given' | 'count' | 'stray' | 'archive' | 'form' | 'key' | 'signature' | 'receipt' | 'revoked' | 'contradiction' | 'duplicate' | 'altered' | 'map' | 'missing' | 'chain' | 'absent';

/** Something that does not hold. `index` -1: no one entry; `gateway` '': not known; `last`: end of a range of numbers. */
export interface BundleFinding {
  kind: BundleFault;
  index: number;
  gateway: string;
  epoch: number;
  seq: number;
  last: number;
  detail: string;
}

/** One entry of the bundle that could be read. */
export interface Row {
  index: number;
  gateway: string;
  epoch: number;
  seq: number;
}

export interface BundleReport {
  name: string;
  origin: string;
  vkey: string;
  kid: string;
  size: number;
  root: string;
  simulated: boolean;
  /** Whether the key was compared with one given by another way. */
  compared: boolean;
  counts: { entries: number; signatures: number; receipts: number; readings: number; explained: number };
  findings: BundleFinding[];
  more: number;
  keys: { gateway: string; epoch: number; kid: string }[];
  rows: Row[];
  points: PointReadings[];
  /** Readings checked and not kept, for there are too many to show. */
  passed: number;
}

export type BundleTold = (done: number, of: number, faults: number) => void | Promise<void>;

interface Placed {
  index: number;
  hash: Bytes;
  prev: Bytes;
}

interface Map8 {
  gateway: string;
  groups: string[][];
  points: Map<string, PointFacts>;
}

type Run = [gateway: string, epoch: number, first: number, last: number];
const named = (gateway: string, epoch: number): string => `${gateway}\0${epoch}`;

/** Checks the bundle in `data` against its own log and, unless '', against the verifier key given; a Fault says it is none. */
export async function checkBundle(data: Bytes, given: string, told: BundleTold): Promise<BundleReport> {
  const archive = new Archive(data);
  const text = (name: string): string => {
    const file = archive.read(name, FILE_BYTES_MAX);
    if (!file) throw new FormatFault(`no ${name} in the archive`);
    return new TextDecoder('utf-8', { fatal: true }).decode(file.data);
  };
  const vkey = text('log.vkey').trim();
  const checkpoint = await readCheckpoint(text('checkpoint'), vkey);
  return new Bundle(archive, vkey, checkpoint, factsOf(text('facts.json'))).run(given.trim(), told);
}

class Bundle {
  private readonly findings: BundleFinding[] = [];
  private more = 0;
  private readonly key: PublicKey;
  private readonly receipts: Receipts;
  private readonly keys = new Map<string, PublicKey>();
  private readonly revoked = new Map<string, number>();
  private readonly gaps = new Map<string, [number, number][]>();
  private readonly maps = new Map<string, Map8>();
  private readonly chains = new Map<string, Map<number, Placed>>();
  private readonly givenUp: { index: number; statement: Statement }[] = [];
  private readonly unread: number[] = []; // entries that could not be put into a chain
  private readonly rows: Row[] = [];
  private readonly shown = new Shown();
  private readonly counts = { entries: 0, signatures: 0, receipts: 0, readings: 0, explained: 0 };
  private simulated: boolean;

  constructor(
    private readonly archive: Archive,
    private readonly vkey: string,
    private readonly tree: Checkpoint,
    private readonly facts: Facts,
  ) {
    this.key = parseVkey(vkey).key;
    this.receipts = new Receipts(tree, this.key);
    this.keys.set(named(tree.origin, 0), this.key);
    this.simulated = facts.simulated;
  }

  async run(given: string, told: BundleTold): Promise<BundleReport> {
    if (given && given !== this.vkey) this.add('given', -1, null, `the archive's key is ${this.vkey}`);
    const indices = this.indices();
    this.counts.entries = indices.length;
    for (const [done, index] of indices.entries()) {
      await told(done, indices.length, this.findings.length + this.more);
      await this.entry(index);
    }
    this.finish(indices.length);
    await told(indices.length, indices.length, this.findings.length + this.more);
    const { origin, size, root } = this.tree;
    const keys = [...this.keys].map(([name, key]) => ({ gateway: name.split('\0')[0]!, epoch: Number(name.split('\0')[1]), kid: keyText(key.kid) }));
    this.findings.sort((a, b) => a.index - b.index || a.gateway.localeCompare(b.gateway) || a.epoch - b.epoch || a.seq - b.seq);
    return {
      name: this.facts.name,
      origin,
      vkey: this.vkey,
      kid: keyText(this.key.kid),
      size,
      root: hex(root),
      simulated: this.simulated,
      compared: given !== '',
      counts: this.counts,
      findings: this.findings,
      more: this.more,
      keys: keys.filter((each) => each.gateway !== origin),
      rows: this.rows,
      points: this.shown.points(),
      passed: this.shown.passed,
    };
  }

  private indices(): number[] {
    const found: number[] = [];
    for (const name of this.archive.files.keys()) {
      if (!name.startsWith('entries/') || name === 'entries/') continue;
      const [, digits, kind] = /^entries\/(0|[1-9][0-9]{0,15})\.(cbor|receipt)$/.exec(name) ?? [];
      if (kind === 'cbor') found.push(Number(digits));
      else if (kind !== 'receipt' || !this.archive.files.has(`entries/${digits}.cbor`)) this.add('stray', -1, null, name);
    }
    return found.sort((a, b) => a - b);
  }

  /** Checks one entry; every fault of it is named. */
  private async entry(index: number): Promise<void> {
    let statement: Statement | null = null;
    try {
      const file = this.archive.read(`entries/${index}.cbor`, FILE_BYTES_MAX)!;
      const { statement: raw, body } = readEnvelope(file.data);
      statement = readStatement(raw);
      if (!file.sound) this.add('archive', index, statement, 'its checksum in the archive is another');
      if (statement.issuer !== this.tree.origin) throw new FormatFault(`statement for the log ${statement.issuer}`);
      await this.judge(index, statement, body);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.unread.push(index);
      this.add('form', index, statement, error.message);
    }
  }

  private async judge(index: number, statement: Statement, body: Bytes | null): Promise<void> {
    const { subject, kind, chain } = statement;
    const name = named(subject, chain.epoch);
    const whole = body !== null && same(digest(body), statement.digest);
    if (body && !whole) this.add('altered', index, statement, `${body.length} bytes`);
    const record = whole && RECORDS.has(kind) ? await this.record(index, statement, body) : null;
    if (record && kind === 'enrol') this.enrol(index, statement, record);
    if (!(await this.signed(index, statement))) return void this.unread.push(index);
    await this.receipt(index, statement);
    const revoked = this.revoked.get(name);
    if (revoked !== undefined) this.add('revoked', index, statement, `by entry ${revoked}`);
    if (!this.placed(index, statement)) return;
    const row = this.rows.push({ index, gateway: subject, epoch: chain.epoch, seq: chain.seq }) - 1;
    if (body === null) this.givenUp.push({ index, statement });
    if (revoked !== undefined || !whole) return;
    if (record) this.note(index, statement, record, body);
    if (kind === 'data') await this.read(index, statement, body, row);
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
    const name = named(subject, chain.epoch);
    const [key, log] = [record.get('public'), record.get('log_public')];
    if (this.keys.has(name)) return;
    if (!(key instanceof Uint8Array) || !(log instanceof Uint8Array) || record.get('gateway') !== subject || record.get('epoch') !== chain.epoch || !same(log, this.key.raw)) {
      return void this.add('key', index, statement, 'the enrol record is for another gateway, epoch or log');
    }
    try {
      this.keys.set(name, new PublicKey(key));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add('key', index, statement, error.message);
    }
  }

  private async signed(index: number, statement: Statement): Promise<boolean> {
    const key = this.keys.get(named(statement.subject, statement.chain.epoch));
    if (!key) {
      this.add('key', index, statement, `key ${keyText(statement.kid)} was not enrolled in this log before`);
      return false;
    }
    this.counts.signatures++;
    return this.held('signature', index, statement, () => checkStatement(statement, key));
  }

  private async receipt(index: number, statement: Statement): Promise<void> {
    if (this.tree.size < 2) return;
    this.counts.receipts++;
    await this.held('receipt', index, statement, async () => {
      const file = this.archive.read(`entries/${index}.receipt`, FILE_BYTES_MAX);
      if (!file) throw new ProofFault('there is none');
      await this.receipts.check(file.data, statement.raw, index);
      if (!file.sound) throw new FormatFault('its checksum in the archive is another');
    });
  }

  private async held(kind: BundleFault, index: number, statement: Statement, check: () => Promise<void>): Promise<boolean> {
    try {
      await check();
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add(kind, index, statement, error.message);
      return false;
    }
  }

  /** Puts the statement into its chain; false when its number is taken. */
  private placed(index: number, statement: Statement): boolean {
    const { epoch, seq, prev } = statement.chain;
    const name = named(statement.subject, epoch);
    let chain = this.chains.get(name);
    if (!chain) this.chains.set(name, (chain = new Map()));
    const [held, hash] = [chain.get(seq), digest(statement.raw)];
    if (!held) chain.set(seq, { index, hash, prev });
    else this.add(same(held.hash, hash) ? 'duplicate' : 'contradiction', index, statement, `entry ${held.index} has this number already`);
    return !held;
  }

  /** Remembers what a signed record says. */
  private note(index: number, statement: Statement, record: Map<string, Item>, body: Bytes): void {
    const ours = statement.subject === this.tree.origin;
    const [gateway, epoch] = [record.get('gateway'), record.get('epoch')];
    if (statement.kind === 'genesis' && ours) this.simulated ||= record.get('simulated') === true;
    else if (statement.kind === 'revoke' && ours && typeof gateway === 'string' && typeof epoch === 'number') this.revoked.set(named(gateway, epoch), index);
    else if (statement.kind === 'gap' && typeof epoch === 'number') {
      const ranges = record.get('ranges');
      const runs = (Array.isArray(ranges) ? ranges : []).filter((run): run is [number, number] => Array.isArray(run) && run.length === 2 && run.every((n) => typeof n === 'number'));
      const name = named(statement.subject, epoch);
      this.gaps.set(name, [...(this.gaps.get(name) ?? []), ...runs].sort((a, b) => a[0] - b[0]));
    } else if (statement.kind === 'manifest' && typeof gateway === 'string') this.map(index, statement, record, gateway, body);
  }

  private map(index: number, statement: Statement, record: Map<string, Item>, gateway: string, body: Bytes): void {
    try {
      this.maps.set(hex(digest(body).slice(0, 8)), { gateway, groups: groupsOf(record).groups, points: pointsOf(record, gateway) });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add('form', index, statement, error.message);
    }
  }

  /** Reads the readings of a batch. */
  private async read(index: number, statement: Statement, body: Bytes, row: number): Promise<void> {
    await this.held('map', index, statement, async () => {
      let map: Map8 | undefined;
      const { blocks } = await readBody(body, (key) => {
        map = this.maps.get(hex(key));
        if (!map) throw new ProofFault('its point map is not in the archive');
        if (map.gateway !== statement.subject) throw new ProofFault("its point map is another gateway's");
        return map.groups;
      });
      for (const block of blocks) {
        for (const [column, id] of block.points.entries()) {
          const facts = map!.points.get(id);
          if (!facts) throw new ProofFault(`the point map does not describe ${id}`);
          this.counts.readings += block.time_us.length;
          this.shown.add(facts, block.time_us, block.value[column]!, block.quality[column]!, row);
        }
      }
    });
  }

  /** Names what is missing and joints that do not hold. */
  private finish(entries: number): void {
    if (this.facts.entries !== entries) this.add('count', -1, null, `${this.facts.entries} promised, ${entries} here`);
    for (const run of this.facts.runs) this.missing(run);
    for (const [name, chain] of this.chains) {
      const [gateway, epoch] = [name.split('\0')[0]!, Number(name.split('\0')[1])];
      for (const [seq, { prev, index }] of chain) {
        const before = chain.get(seq - 1);
        if (before && !same(before.hash, prev)) this.put({ kind: 'chain', index, gateway, epoch, seq, last: seq, detail: `it does not continue ${seq - 1}` });
      }
    }
    for (const { index, statement } of this.givenUp) {
      const { epoch, seq } = statement.chain;
      if (this.explained(statement.subject, epoch, seq)) this.counts.explained++;
      else this.add('absent', index, statement, 'no gap record says why');
    }
  }

  /** Names the numbers of a run that are not here; where as many entries could not be read in their place, those are the ones. */
  private missing([gateway, epoch, first, last]: Run): void {
    const chain = this.chains.get(named(gateway, epoch));
    const lost: [number, number][] = [];
    for (let seq = first; seq <= last; seq++) {
      if (chain?.has(seq)) continue;
      if (this.explained(gateway, epoch, seq)) this.counts.explained++;
      else if (lost.at(-1)?.[1] === seq - 1) lost.at(-1)![1] = seq;
      else lost.push([seq, seq]);
    }
    for (const [low, high] of lost) {
      const [below, above] = [chain?.get(low - 1)?.index ?? -1, chain?.get(high + 1)?.index ?? Infinity];
      const unread = this.unread.filter((index) => index > below && index < above);
      if (unread.length === high - low + 1) unread.forEach((index, n) => this.attribute(index, gateway, epoch, low + n));
      else this.put({ kind: 'missing', index: -1, gateway, epoch, seq: low, last: high, detail: 'no gap record says why' });
    }
  }

  private attribute(index: number, gateway: string, epoch: number, seq: number): void {
    for (const finding of this.findings) if (finding.index === index) Object.assign(finding, { gateway, epoch, seq, last: seq });
  }

  private explained(gateway: string, epoch: number, seq: number): boolean {
    return (this.gaps.get(named(gateway, epoch)) ?? []).some(([first, last]) => first <= seq && seq <= last);
  }

  private add(kind: BundleFault, index: number, statement: Statement | null, detail: string): void {
    const { epoch, seq } = statement?.chain ?? { epoch: -1, seq: -1 };
    this.put({ kind, index, gateway: statement?.subject ?? '', epoch, seq, last: seq, detail });
  }

  private put(finding: BundleFinding): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push(finding);
    else this.more++;
  }
}

interface Facts {
  name: string;
  simulated: boolean;
  entries: number;
  runs: Run[];
}

function factsOf(text: string): Facts {
  let told: Record<string, unknown>;
  try {
    told = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new FormatFault('facts.json is no JSON');
  }
  const { name, simulated, entries, runs } = told ?? {};
  if (typeof entries !== 'number' || !Array.isArray(runs) || !runs.every(isRun)) throw new FormatFault('facts.json without entries and runs');
  return { name: typeof name === 'string' ? name : '', simulated: simulated === true, entries, runs };
}

function isRun(item: unknown): item is Run {
  if (!Array.isArray(item) || item.length !== 4 || typeof item[0] !== 'string') return false;
  const [, epoch, first, last] = item as [string, number, number, number];
  return [epoch, first, last].every((n) => Number.isSafeInteger(n) && n >= 0) && last - first <= RUN_MAX;
}
