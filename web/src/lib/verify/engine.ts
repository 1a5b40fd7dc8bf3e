/** The engine behind the badges: follows one log, and compares numbers on the page with the sealed records. */
import { Fault, ProofFault, same } from './bytes';
import { ageOf, isShown, newestOf } from './compare';
import { NoAnswer, RemoteLog } from './log';
import { recall, remember, type Head } from './memory';
import { checkConsistency, Frontier, leafHash } from './merkle';
import { readCheckpoint, type Checkpoint } from './note';
import { Pace } from './pace';
import { readStatement } from './statement';
import { nameOf, TrustedLog, type Opened } from './trust';
import { NOT_CHECKED, RECEIVED, type Caught, type Claim, type ClaimVerdict, type LogStatus, type Reason, type Verifier } from './types';

const LOOK_MS = 3_000; // after the log grew
const HASH_MS = 30_000; // between hashing new entries; in between a proof of consistency is enough
const ASK_MS = 1_000; // between two questions for evidence, whatever the page shows
const WHOLE_MAX = 20_000; // up to here every entry is hashed in passing; beyond it the audit does, on request
const AHEAD_US = 10_000_000; // samples so far after the picture's time: a gateway's clock runs ahead of it
const CAUGHT_MAX = 20;

const now_us = (): number => Date.now() * 1000;

/** Makes the verifier of a page; it checks nothing until it follows a log. */
export function engine(): Verifier {
  return new Engine();
}

class Engine implements Verifier {
  private following: Following | null = null;
  private current: LogStatus = NOT_CHECKED;
  private differing: Caught[] = [];
  private readonly listeners = new Set<() => void>();
  private readonly pace = new Pace(ASK_MS);

  follow(enterprise: string): void {
    if (this.following?.enterprise === enterprise) return;
    this.stop();
    if (!isSecureContext) return this.put({ ...NOT_CHECKED, state: 'unavailable', reason: INSECURE });
    this.following = new Following(enterprise, this.pace, (status) => this.put(status));
    this.put({ ...NOT_CHECKED, state: 'checking' });
    void this.following.look();
  }

  grown(tree_size: number): void {
    this.following?.grown(tree_size);
  }

  stop(): void {
    this.following?.close();
    this.following = null;
    this.differing = [];
    this.put(NOT_CHECKED);
  }

  status(): LogStatus {
    return this.current;
  }

  caught(): readonly Caught[] {
    return this.differing;
  }

  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => this.listeners.delete(changed);
  }

  async check(claim: Claim): Promise<ClaimVerdict> {
    const log = this.following;
    if (!log) return this.current.state === 'unavailable' ? { ...RECEIVED, state: 'unavailable', reason: this.current.reason } : RECEIVED;
    let verdict: ClaimVerdict;
    try {
      verdict = await log.check(claim);
    } catch (error) {
      verdict = { ...RECEIVED, state: error instanceof Fault ? 'failed' : 'unavailable', checked_us: now_us(), reason: reasonOf(error), index: error instanceof Fault ? error.index : null };
    }
    if (verdict.state === 'failed' && verdict.reason && log === this.following) this.catch({ point: claim.point, time_us: verdict.checked_us, reason: verdict.reason });
    return verdict;
  }

  private catch(caught: Caught): void {
    this.differing = [...this.differing, caught].slice(-CAUGHT_MAX);
    this.tell();
  }

  private put(status: LogStatus): void {
    this.current = status;
    this.tell();
  }

  private tell(): void {
    this.listeners.forEach((tell) => tell());
  }
}

/** One log being followed: its last verified head moves forward only by proof. */
class Following {
  private head: Head | null;
  private trusted: TrustedLog | null = null;
  private readonly remote: RemoteLog;
  private looking: Promise<void> | null = null;
  private tree: Frontier | null = null;
  private hashed_ms = -Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private fault: Reason | null = null;
  private closed = false;

  constructor(
    readonly enterprise: string,
    private readonly pace: Pace,
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
    if (size <= (this.trusted?.head?.size ?? 0) || this.fault || this.closed || this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.look();
    }, LOOK_MS);
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
    const reason = reasonOf(error);
    if (error instanceof ProofFault) this.fault = reason;
    const index = error instanceof Fault ? error.index : null;
    this.put({ state: error instanceof Fault ? 'failed' : 'unavailable', size: this.head?.size ?? 0, checked_us: this.head?.checked_us ?? 0, reason, index });
  }

  private async advance(): Promise<void> {
    const vkey = this.head?.vkey ?? (await this.remote.hints()).log_vkey;
    const checkpoint = await readCheckpoint(await this.remote.checkpoint(), vkey);
    const trusted = (this.trusted ??= new TrustedLog(this.remote, checkpoint.origin));
    await this.continues(checkpoint);
    if (this.closed) return;
    trusted.head = checkpoint;
    const checked_us = now_us();
    this.head = { vkey, size: checkpoint.size, root: checkpoint.root, checked_us, first_us: this.head?.first_us ?? checked_us };
    remember(this.enterprise, this.head);
    this.put({ state: 'verified', size: checkpoint.size, checked_us, reason: null, index: null });
  }

  /** The new tree begins with the one remembered, and its newest entries are well-formed statements in it. */
  private async continues(now: Checkpoint): Promise<void> {
    const before = this.head;
    if (before && now.size < before.size) {
      throw new ProofFault(`the log shrank from ${before.size} to ${now.size} entries`, { zh: `日志由 ${before.size} 条变短为 ${now.size} 条` });
    }
    if (before?.size === now.size && !same(before.root, now.root)) throw new ProofFault(`two logs of ${now.size} entries`, { zh: `出现两份不同的 ${now.size} 条日志` });
    if (performance.now() - this.hashed_ms >= HASH_MS) await this.hash(now);
    else if (before && before.size < now.size) checkConsistency(before.size, now.size, await this.remote.consistency(before.size, now.size), before.root, now.root);
  }

  private async hash(now: Checkpoint): Promise<void> {
    if (this.tree || now.size <= WHOLE_MAX) await this.rebuild(now);
    else {
      const before = this.head;
      if (before && before.size < now.size) checkConsistency(before.size, now.size, await this.remote.consistency(before.size, now.size), before.root, now.root);
      await this.newest(now);
    }
    this.hashed_ms = performance.now();
  }

  /** Hashes every entry not yet hashed; the tree must pass through the head remembered and end in the new one. */
  private async rebuild(now: Checkpoint): Promise<void> {
    const tree = this.tree ?? new Frontier();
    this.tree = null; // a tree that led nowhere is begun anew
    const before = this.head;
    for await (const { index, raw } of this.remote.entries(tree.size, now.size)) {
      if (before && tree.size === before.size && !same(tree.root(), before.root)) throw rewritten(before.size);
      inForm(raw, index);
      tree.append(leafHash(raw));
    }
    if (!same(tree.root(), now.root)) throw new ProofFault(`the entries of the log do not make its signed root at ${now.size}`, { zh: `日志条目算不出其签名的 ${now.size} 条树根` });
    this.tree = tree;
  }

  /** For a log too long to hash in passing: its last entry, as served twice, is in the tree. */
  private async newest(now: Checkpoint): Promise<void> {
    const log = new TrustedLog(this.remote, now.origin);
    log.head = now;
    for await (const { index, raw } of this.remote.entries(now.size - 1, now.size)) {
      if (!same((await log.entry(index)).statement.raw, raw)) throw new ProofFault(`entry ${index} is shown in two forms`, { index });
    }
  }

  /** The log checked far enough to hold `index`. */
  private async ready(index: number): Promise<TrustedLog> {
    if (!this.fault && index >= (this.trusted?.head?.size ?? 0)) await this.look();
    if (this.fault) throw new NoAnswer(this.fault.en);
    if (!this.trusted?.head || index >= this.trusted.head.size) throw new NoAnswer('the log could not be checked so far');
    return this.trusted;
  }

  async check(claim: Claim): Promise<ClaimVerdict> {
    const known = this.among(claim);
    if (known) return known;
    await this.pace.turn();
    const known_now = this.among(claim); // another number's record may have come meanwhile
    if (known_now) return known_now;
    const found = await this.remote.evidence(claim.point, claim.as_of_us);
    if (!found) return { ...RECEIVED, state: 'unavailable', checked_us: now_us(), reason: NO_RECORD };
    const trusted = await this.ready(found.index);
    const opened = await trusted.open(found.index, found.manifest_digest);
    const { sample } = newestOf(opened.body.blocks, claim.point, opened.statement.subject, claim.as_of_us);
    const verdict = { ...RECEIVED, index: found.index, size: trusted.head!.size, checked_us: now_us() };
    if (sample && isShown(sample, claim)) return { ...verdict, state: 'verified' };
    if (sample && ageOf(sample, claim.as_of_us) < claim.age_s) return verdict; // a newer one came after the picture
    if (await this.runsAhead(claim)) return { ...verdict, reason: AHEAD };
    return { ...verdict, state: 'failed', reason: differs(opened, sample?.value ?? NaN, claim.value) };
  }

  /** The verdict by a record that was opened already: one batch vouches for all the numbers sealed in it. */
  private among(claim: Claim): ClaimVerdict | null {
    if (!this.trusted?.head) return null;
    for (const { index, statement, body } of this.trusted.opened().reverse()) {
      const { sample } = newestOf(body.blocks, claim.point, statement.subject, claim.as_of_us);
      if (sample && isShown(sample, claim)) return { ...RECEIVED, state: 'verified', index, size: this.trusted.head.size, checked_us: now_us() };
    }
    return null;
  }

  /** Whether the point has samples far after a picture of now: the server then orders by receipt, not by their time. */
  private async runsAhead(claim: Claim): Promise<boolean> {
    if (claim.as_of_us < now_us() - 60e6) return false;
    const found = await this.remote.evidence(claim.point, 0);
    if (!found) return false;
    const opened = await (await this.ready(found.index)).open(found.index, found.manifest_digest);
    return newestOf(opened.body.blocks, claim.point, opened.statement.subject, Infinity).last_us > claim.as_of_us + AHEAD_US;
  }
}

const INSECURE: Reason = { zh: '页面不是经 HTTPS 打开，浏览器不能可靠核验', en: 'the page was not opened over HTTPS, so nothing checked in it could be relied on' };
const NO_RECORD: Reason = { zh: '服务器没有给出承载该样本的记录', en: 'the server named no record that holds this sample' };
const AHEAD: Reason = { zh: '网关时钟超前，暂不能逐点核对', en: 'a gateway clock runs ahead, so this picture cannot be compared sample by sample' };

function rewritten(size: number): ProofFault {
  return new ProofFault(`the log was rewritten before entry ${size}`, { zh: `日志在第 ${size} 条之前被改写` });
}

function inForm(raw: Parameters<typeof readStatement>[0], index: number): void {
  try {
    readStatement(raw);
  } catch (error) {
    throw new ProofFault(`entry ${index} is no statement: ${(error as Error).message}`, { index, zh: `第 ${index} 条不是合规的封存声明` });
  }
}

function differs(opened: Opened, sealed: number, page: number): Reason {
  const [s, p] = [sealed, page].map((n) => (Number.isNaN(n) ? '–' : String(n)));
  const name = nameOf(opened.statement, opened.index);
  return { zh: `页面显示 ${p}，封存记录为 ${s}（${name}）`, en: `the page shows ${p}, the sealed record says ${s} (${name})` };
}

function reasonOf(error: unknown): Reason {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof Fault) return { zh: error.zh || `核对不符：${text}`, en: text };
  return { zh: `未能核对（${text}）`, en: `could not be checked (${text})` };
}
