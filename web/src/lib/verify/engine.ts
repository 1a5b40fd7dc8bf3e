/** The engine behind the badges: follows one log, and compares numbers on the page with the sealed records. */
import { FormatFault, ProofFault, same } from './bytes';
import type { Block } from './body';
import { NoAnswer, RemoteLog } from './log';
import { recall, remember, type Head } from './memory';
import { checkConsistency, Frontier, leafHash } from './merkle';
import { readCheckpoint, type Checkpoint } from './note';
import { readStatement, type Statement } from './statement';
import { TrustedLog } from './trust';
import { NOT_CHECKED, RECEIVED, type Claim, type ClaimVerdict, type LogStatus, type Reason, type SpanClaim, type Verifier } from './types';

const PERIOD_MS = 3_000;
const WHOLE_MAX = 20_000; // up to here a first visit rebuilds the tree from every entry; beyond it a worker does, on request
const SPAN_BATCHES_MAX = 60;
const BAD = 32;

const now_us = (): number => Date.now() * 1000;

/** Makes the verifier of a page; it checks nothing until it follows a log. */
export function engine(): Verifier {
  return new Engine();
}

class Engine implements Verifier {
  private following: Following | null = null;
  private current: LogStatus = NOT_CHECKED;
  private readonly listeners = new Set<() => void>();

  follow(enterprise: string): void {
    if (this.following?.enterprise === enterprise) return;
    this.stop();
    this.following = new Following(enterprise, (status) => this.put(status));
    this.put({ ...NOT_CHECKED, state: 'checking' });
    void this.following.look();
  }

  grown(tree_size: number): void {
    this.following?.grown(tree_size);
  }

  stop(): void {
    this.following?.close();
    this.following = null;
    this.put(NOT_CHECKED);
  }

  status(): LogStatus {
    return this.current;
  }

  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => this.listeners.delete(changed);
  }

  check(claim: Claim): Promise<ClaimVerdict> {
    return this.judged((log) => log.check(claim));
  }

  checkSpan(claim: SpanClaim): Promise<ClaimVerdict> {
    return this.judged((log) => log.checkSpan(claim));
  }

  private async judged(work: (log: Following) => Promise<ClaimVerdict>): Promise<ClaimVerdict> {
    const log = this.following;
    if (!log) return RECEIVED;
    try {
      return await work(log);
    } catch (error) {
      return { ...RECEIVED, state: error instanceof ProofFault || error instanceof FormatFault ? 'failed' : 'unavailable', checked_us: now_us(), reason: reasonOf(error) };
    }
  }

  private put(status: LogStatus): void {
    this.current = status;
    this.listeners.forEach((tell) => tell());
  }
}

/** One log being followed: its last verified head moves forward only by proof. */
class Following {
  private head: Head | null;
  private trusted: Promise<TrustedLog> | null = null;
  private readonly remote: RemoteLog;
  private looking: Promise<void> | null = null;
  private tree: Frontier | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failed = false;
  private closed = false;

  constructor(
    readonly enterprise: string,
    private readonly put: (status: LogStatus) => void,
  ) {
    this.remote = new RemoteLog(enterprise);
    this.head = recall(enterprise);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  grown(size: number): void {
    if (size <= (this.head?.size ?? 0) || this.failed || this.closed || this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.look();
    }, PERIOD_MS);
  }

  /** Fetches the checkpoint and proves it to be a continuation; at most one such look at a time. */
  look(): Promise<void> {
    this.looking ??= this.advance()
      .catch((error: unknown) => this.report(error))
      .finally(() => (this.looking = null));
    return this.looking;
  }

  private report(error: unknown): void {
    if (this.closed) return;
    const proven = error instanceof ProofFault || error instanceof FormatFault;
    this.failed = proven;
    const size = this.head?.size ?? 0;
    this.put({ state: proven ? 'failed' : 'unavailable', size, checked_us: this.head?.checked_us ?? 0, reason: reasonOf(error), index: null });
  }

  private async advance(): Promise<void> {
    const vkey = this.head?.vkey ?? (await this.remote.hints()).log_vkey;
    const checkpoint = await readCheckpoint(await this.remote.checkpoint(), vkey);
    const trusted = await (this.trusted ??= Promise.resolve(new TrustedLog(this.remote, checkpoint.origin)));
    await this.continues(checkpoint);
    if (this.closed) return;
    trusted.head = checkpoint;
    this.head = { vkey, size: checkpoint.size, root: checkpoint.root, checked_us: now_us() };
    remember(this.enterprise, this.head);
    this.put({ state: 'verified', size: checkpoint.size, checked_us: this.head.checked_us, reason: null, index: null });
  }

  /** The new tree begins with the one remembered, and its newest entries are well-formed statements in it. */
  private async continues(now: Checkpoint): Promise<void> {
    const before = this.head;
    if (before && now.size < before.size) throw new ProofFault(`the log shrank from ${before.size} to ${now.size} entries`);
    if (before?.size === now.size && !same(before.root, now.root)) throw new ProofFault(`two logs of ${now.size} entries`);
    if (this.tree || now.size <= WHOLE_MAX) return this.rebuild(now);
    if (before) {
      const path = before.size === now.size ? [] : await this.remote.consistency(before.size, now.size);
      checkConsistency(before.size, now.size, path, before.root, now.root);
    }
    await this.newest(now);
  }

  /** Hashes every entry not yet hashed; the tree must pass through the head remembered and end in the new one. */
  private async rebuild(now: Checkpoint): Promise<void> {
    const tree = this.tree ?? new Frontier();
    this.tree = null; // a tree that led nowhere is begun anew
    const before = this.head;
    for await (const { raw } of this.remote.entries(tree.size, now.size)) {
      if (before && tree.size === before.size && !same(tree.root(), before.root)) throw new ProofFault(`the log was rewritten before entry ${before.size}`);
      readStatement(raw);
      tree.append(leafHash(raw));
    }
    if (!same(tree.root(), now.root)) throw new ProofFault(`the entries of the log do not make its signed root at ${now.size}`);
    this.tree = tree;
  }

  /** For a log too long to hash in passing: its last entry, as served twice, is in the tree. */
  private async newest(now: Checkpoint): Promise<void> {
    const log = new TrustedLog(this.remote, now.origin);
    log.head = now;
    for await (const { index, raw } of this.remote.entries(now.size - 1, now.size)) {
      if (!same((await log.entry(index)).statement.raw, raw)) throw new ProofFault(`entry ${index} is shown in two forms`);
    }
  }

  private async ready(index: number): Promise<TrustedLog> {
    if (index >= (this.head?.size ?? 0) || !this.trusted) await this.look();
    const trusted = await this.trusted;
    if (!trusted?.head) throw new NoAnswer('the log could not be checked');
    return trusted;
  }

  async check(claim: Claim): Promise<ClaimVerdict> {
    const found = await this.remote.evidence(claim.point, claim.as_of_us);
    const trusted = await this.ready(found.index);
    const { statement, body } = await trusted.body(found.index, found.manifest_digest);
    const { time_us, value, quality } = newest(body.blocks, claim.point, claim.as_of_us);
    const verdict = { ...RECEIVED, index: found.index, size: trusted.head!.size, checked_us: now_us() };
    const age_s = Math.floor((claim.as_of_us - time_us) / 1e6);
    const equal = Object.is(value, claim.value) || (value === claim.value && value === 0);
    if (age_s !== claim.age_s || !equal || quality !== claim.quality) {
      if (time_us !== 0 && age_s < claim.age_s) return { ...verdict, state: 'received' }; // a newer one came in between
      return { ...verdict, state: 'failed', reason: differs(statement, found.index, value, claim.value) };
    }
    return { ...verdict, state: 'verified' };
  }

  async checkSpan(claim: SpanClaim): Promise<ClaimVerdict> {
    const low = claim.time_us.map(() => Infinity);
    const high = claim.time_us.map(() => -Infinity);
    let until = claim.to_us - 1;
    let index = 0;
    let size = 0;
    for (let batches = 0; until >= claim.from_us; batches++) {
      if (batches === SPAN_BATCHES_MAX) return { ...RECEIVED, state: 'unavailable', checked_us: now_us(), reason: TOO_LONG };
      const found = await this.remote.evidence(claim.point, until);
      const trusted = await this.ready(found.index);
      const { body } = await trusted.body(found.index, found.manifest_digest);
      index = found.index;
      size = trusted.head!.size;
      until = gather(body.blocks, claim, low, high) - 1;
    }
    const wrong = claim.time_us.findIndex((_, n) => shown(claim.min[n]) !== finite(low[n]!) || shown(claim.max[n]) !== finite(high[n]!));
    const verdict = { ...RECEIVED, index, size, checked_us: now_us() };
    if (wrong < 0) return { ...verdict, state: 'verified' };
    return { ...verdict, state: 'failed', reason: { zh: `图中有数值与封存记录不同（第 ${wrong + 1} 段）`, en: `the chart differs from the sealed records in its bucket ${wrong + 1}` } };
  }
}

const TOO_LONG: Reason = { zh: '时间段太长，请放大后再核对', en: 'too long a span to compare here: zoom in' };

function newest(blocks: Block[], point: string, as_of_us: number): { time_us: number; value: number; quality: number } {
  let best = { time_us: 0, value: NaN, quality: -1 };
  for (const block of blocks) {
    const row = block.points.indexOf(point);
    if (row < 0) continue;
    block.time_us.forEach((time_us, t) => {
      if (time_us <= as_of_us && time_us >= best.time_us) best = { time_us, value: block.value[row]![t]!, quality: block.quality[row]![t]! };
    });
  }
  return best;
}

/** Adds a body's samples of the point to the buckets; returns the body's earliest time of that point. */
function gather(blocks: Block[], claim: SpanClaim, low: number[], high: number[]): number {
  let earliest = -Infinity;
  for (const block of blocks) {
    const row = block.points.indexOf(claim.point);
    if (row < 0) continue;
    const first = block.time_us[0]!;
    earliest = earliest === -Infinity ? first : Math.min(earliest, first);
    block.time_us.forEach((time_us, t) => {
      const value = block.value[row]![t]!;
      const bucket = Math.floor((time_us - (claim.time_us[0] ?? 0)) / claim.bucket_us);
      if (block.quality[row]![t]! >= BAD || Number.isNaN(value) || bucket < 0 || bucket >= low.length) return;
      low[bucket] = Math.min(low[bucket]!, value);
      high[bucket] = Math.max(high[bucket]!, value);
    });
  }
  return earliest;
}

const finite = (n: number): number | null => (Number.isFinite(n) ? n : null);
const shown = (n: number | null | undefined): number | null => n ?? null;

function differs(statement: Statement, index: number, sealed: number, page: number): Reason {
  const [s, p] = [sealed, page].map((n) => (Number.isNaN(n) ? '—' : String(n)));
  const name = `${statement.subject} ${statement.chain.epoch}/${statement.chain.seq}, #${index}`;
  return { zh: `页面显示 ${p}，封存记录为 ${s}（${name}）`, en: `the page shows ${p}, the sealed record says ${s} (${name})` };
}

function reasonOf(error: unknown): Reason {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof NoAnswer) return { zh: `服务器未答复，未能核对（${text}）`, en: `the server gave no answer to check (${text})` };
  return { zh: `核对不符：${text}`, en: `does not hold: ${text}` };
}

