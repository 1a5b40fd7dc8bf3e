/** The audit in the browser passes an honest log and names every way of spoiling one. */
import { describe, expect, it } from 'vitest';
import type { Finding, Options, Report } from '../src/lib/verify/findings';
import { runAudit, type Before } from '../src/lib/verify/run';
import { digest } from '../src/lib/verify/merkle';
import { key, ORIGIN, record, Sealer, T0_MS, TestLog } from './support/log';

const CHAIN: Options = { every: false, bodies: false };
const BODIES: Options = { every: false, bodies: true };

/** An honest log of two gateways, 40 batches each, interleaved. */
function honest(batches = 40): TestLog {
  const log = new TestLog();
  log.enrol('gw-1');
  log.enrol('gw-2');
  for (let n = 0; n < batches; n += 10) {
    log.batches('gw-1', 10);
    log.batches('gw-2', 10);
  }
  return log;
}

const audit = (log: TestLog, options = CHAIN, before: Before | null = null): Promise<Report> => runAudit(log, options, before, () => undefined);
const short = (f: Finding): string => `${f.kind} ${f.gateway} ${f.epoch}/${f.seq}${f.last > f.seq ? `-${f.last}` : ''} #${f.index}`;
const findings = async (log: TestLog, options = CHAIN, before: Before | null = null): Promise<string[]> => (await audit(log, options, before)).findings.map(short);
const headOf = (log: TestLog): Before => ({ vkey: log.vkey, size: log.tree.size, root: log.tree.root(log.tree.size)!.slice(), checked_us: 2, first_us: 1 });

describe('an honest log', () => {
  it('passes, and one signature a gateway and day vouches for the rest', async () => {
    const log = honest();
    const report = await audit(log);
    expect(report.findings).toEqual([]);
    expect(report.counts).toMatchObject({ entries: 83, data: 80, bodies: 3, signatures: 5, vouched: 78 });
    expect([report.simulated, report.origin, report.size]).toEqual([true, ORIGIN, 83]);
    expect(report.epochs.map((e) => [e.gateway, e.epoch, e.statements, e.last_seq])).toEqual([['gw-1', 1, 41, 40], ['gw-2', 1, 41, 40]]);
  });

  it('passes with every signature and every body', async () => {
    const report = await audit(honest(), { every: true, bodies: true });
    expect(report.findings).toEqual([]);
    expect(report.counts).toMatchObject({ signatures: 83, vouched: 0, bodies: 83 });
  });

  it('asks one signature more for each further day', async () => {
    const log = new TestLog();
    const gateway = log.enrol('gw-1');
    for (let day = 0; day < 3; day++) for (let n = 0; n < 5; n++) log.append(gateway.seal({ t_ms: T0_MS + day * 86_400_000 + n }));
    expect((await audit(log)).counts.signatures).toBe(5); // the log's own, the enrolment, three days
  });

  it('may arrive in any order', async () => {
    const log = new TestLog();
    const gateway = log.enrol('gw-1');
    const sealed = Array.from({ length: 20 }, () => gateway.seal());
    for (const n of [19, 5, 4, 3, 0, 1, 2, 18, ...Array.from({ length: 12 }, (_, k) => k + 6)]) log.append(sealed[n]!);
    expect(await findings(log)).toEqual([]);
  });

  it('may have an epoch that continues the one before, or a new box that knows nothing of it', async () => {
    const log = honest();
    log.enrol('gw-1', 2, key('next'), log.gateways.get('gw-1')!.prev);
    log.enrol('gw-2', 2);
    const report = await audit(log);
    expect(report.findings).toEqual([]);
    expect(report.notes.map((n) => [n.kind, n.gateway])).toEqual([['new_box', 'gw-2']]);
  });

  it('is longer than one bundle', async () => {
    const log = honest(300);
    expect(await findings(log, CHAIN, headOf(honest(120)))).toEqual([]);
  });

  it('may have anchors', async () => {
    const log = honest();
    const anchor = { size: 50, root: log.tree.root(50)!.slice() };
    log.append(log.gateways.get('gw-1')!.seal({ anchor }));
    const report = await audit(log);
    expect([report.findings, report.counts.anchors]).toEqual([[], 1]);
  });
});

describe('a flipped byte', () => {
  const length = honest().entries[40]!.length;

  it.each(Array.from({ length: 12 }, (_, n) => Math.floor((n * length) / 12)))('%i of a stored entry names the entry and its batch', async (at) => {
    const log = honest();
    log.flipEntry(40, at);
    expect(await findings(log)).toEqual([`entry gw-2 1/${seqAt(40)} #40`]);
  });

  it.each(Array.from({ length: 12 }, (_, n) => Math.floor((n * length) / 12)))('%i of an entry is named too where the server made its tree anew', async (at) => {
    const log = honest();
    log.flipEntry(40, at);
    log.rebuild();
    const found = await findings(log);
    expect(found.length).toBeGreaterThan(0);
    expect(found.some((each) => each.endsWith('#40'))).toBe(true);
  });

  it('in several entries in a row names each', async () => {
    const log = honest();
    for (const index of [30, 31, 32]) log.flipEntry(index, 100);
    expect(await findings(log)).toEqual([30, 31, 32].map((index) => `entry gw-1 1/${seqAt(index)} #${index}`));
  });

  it('in the newest entry names it by what it still says', async () => {
    const log = honest();
    log.flipEntry(82, length - 1);
    expect(await findings(log)).toEqual(['entry gw-2 1/40 #82']);
  });

  it('of the newest entry is named by its signature', async () => {
    const log = honest();
    log.flipEntry(82, length - 1);
    log.rebuild();
    expect(await findings(log)).toEqual([`signature gw-2 1/40 #82`]);
  });

  it('of the enrolment leaves its gateway without a key, said once', async () => {
    const log = honest();
    log.flipEntry(1, 100);
    const report = await audit(log);
    expect(report.findings.map(short)).toEqual(['entry  -1/-1 #1', 'key gw-1 1/1 #3']);
    expect(report.findings[1]!.count).toBe(40);
  });

  it('of a body names the batch, when bodies are asked for', async () => {
    const log = honest();
    const { raw, body } = log.gateways.get('gw-1')!.seal();
    const index = log.append({ raw, body });
    log.flipBody(body);
    expect(await findings(log, BODIES)).toEqual([`altered gw-1 1/41 #${index}`]);
    expect(await findings(log)).toEqual([]);
  });

  it('of a tile alone is not blamed on the entry', async () => {
    const log = honest();
    const tile = log.tile.bind(log);
    log.tile = async (level, n, width) => (await tile(level, n, width)).map((hash, at) => (at === 40 ? hash.map((octet) => octet ^ 1) : hash));
    expect(await findings(log)).toEqual(['tile  -1/-1 #40']);
  });
});

/** The number of the entry at `index` of an honest log: genesis, two enrolments, then tens by turns. */
function seqAt(index: number): number {
  const n = index - 3;
  return 10 * Math.floor(n / 20) + (n % 10) + 1;
}

describe('chains', () => {
  it('a batch left out is missing, and its range is told', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    for (let n = 0; n < 3; n++) gateway.seal();
    log.batches('gw-1', 2);
    const report = await audit(log);
    expect(report.findings.map(short)).toEqual(['missing gw-1 1/41-43 #-1']);
    expect(report.findings[0]!.count).toBe(3);
  });

  it('a batch left out is no fault where a gap record explains it', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    for (let n = 0; n < 3; n++) gateway.seal();
    log.append(gateway.seal({ kind: 'gap', body: record({ epoch: 1, ranges: [[41, 43]], reason: 'quota' }) }));
    const report = await audit(log);
    expect([report.findings, report.notes.map((n) => [n.kind, n.seq, n.last])]).toEqual([[], [['explained', 41, 43]]]);
  });

  it('statements on both sides of a hole are vouched for by signatures', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    const forged = gateway.seal({ signer: key('thief') });
    gateway.seal();
    log.append(forged);
    log.batches('gw-1', 3);
    expect(await findings(log)).toEqual(['missing gw-1 1/42 #-1', 'signature gw-1 1/41 #83']);
  });

  it('a statement that continues another is a broken chain', async () => {
    const log = honest();
    log.append(log.gateways.get('gw-1')!.seal({ prev: digest(log.entries[5]!) }));
    expect(await findings(log)).toEqual(['chain gw-1 1/41 #83']);
  });

  it('two statements of one number contradict, the same one twice is a duplicate', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    const twin = new Sealer('gw-1', gateway.key);
    Object.assign(twin, { seq: gateway.seq, prev: gateway.prev });
    log.append(gateway.seal());
    log.append(twin.seal({ body: record({ other: 1 }) }));
    log.append({ raw: log.entries[10]!, body: null });
    expect(await findings(log)).toEqual(['contradiction gw-1 1/41 #84', `duplicate gw-1 1/${seqAt(10)} #85`]);
  });

  it('an entry the server disputes is a contradiction and no part of the chain', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    const twin = new Sealer('gw-1', gateway.key);
    Object.assign(twin, { seq: 5, prev: gateway.prev });
    log.append(twin.seal());
    log.state('fork', { index: 83, reason: 'test' });
    log.batches('gw-1', 3);
    expect(await findings(log)).toEqual(['contradiction gw-1 1/5 #83']);
  });

  it('an epoch that continues nothing known is named', async () => {
    const log = honest();
    log.enrol('gw-1', 2, key('next'), digest(log.entries[4]!));
    expect(await findings(log)).toEqual(['chain gw-1 2/0 #83']);
  });
});

describe('keys', () => {
  it('a gateway that was never enrolled is named once', async () => {
    const log = honest();
    const stranger = new Sealer('gw-9', key('stranger'));
    for (let n = 0; n < 5; n++) log.append(stranger.seal());
    const report = await audit(log);
    expect(report.findings.map(short)).toEqual(['key gw-9 1/0 #83']);
    expect(report.findings[0]!.count).toBe(5);
  });

  it('an enrolment signed by another key is named', async () => {
    const log = honest();
    const fields = { gateway: 'gw-3', epoch: 1, public: key('real').public, log_public: log.logKey.public, mac: new Uint8Array(32), software: '' };
    log.append(new Sealer('gw-3', key('thief')).seal({ kind: 'enrol', body: record(fields) }));
    expect(await findings(log)).toEqual(['signature gw-3 1/0 #83']);
  });

  it('an enrolment for another log is named', async () => {
    const log = honest();
    const fields = { gateway: 'gw-3', epoch: 1, public: key('real').public, log_public: key('elsewhere').public, mac: new Uint8Array(32), software: '' };
    log.append(new Sealer('gw-3', key('real')).seal({ kind: 'enrol', body: record(fields) }));
    expect((await findings(log))[0]).toBe('key gw-3 1/0 #83');
  });
});

describe('bodies', () => {
  it('given up without a record are absent, with one they are told', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    for (let n = 0; n < 3; n++) log.append({ raw: gateway.seal({ body: record({ gone: n }) }).raw, body: null });
    expect(await findings(log, BODIES)).toEqual([41, 42, 43].map((seq, n) => `absent gw-1 1/${seq} #${83 + n}`));
    expect(await findings(log)).toEqual([]);
    log.append(gateway.seal({ kind: 'gap', body: record({ epoch: 1, ranges: [[41, 43]] }) }));
    const report = await audit(log, BODIES);
    expect([report.findings, report.counts.given_up, report.notes.map((n) => [n.kind, n.seq, n.last, n.count])]).toEqual([[], 3, [['given_up', 41, 43, 3]]]);
  });

  it('that came late by the server’s own clock are counted', async () => {
    const log = honest();
    const times = log.entries.map((_, n) => (n < 3 ? 0 : T0_MS + 500_000) + (n > 79 ? 1_000_000 : 0));
    log.state('clock', { from: 0, received_ms: times });
    const report = await audit(log);
    expect(report.findings).toEqual([]);
    expect(report.counts.late).toBeGreaterThan(40);
  });
});

describe('heads', () => {
  it('a head that the entries do not make is told', async () => {
    const log = honest();
    const other = honest();
    other.batches('gw-1', 1);
    log.note = await other.checkpoint();
    log.note = log.note.replace('\n84\n', '\n83\n');
    expect(await findings(log)).toEqual(['root  -1/-1 #-1']); // the signature is over 84
  });

  it('a log shorter than the one remembered shrank', async () => {
    const before = headOf(honest());
    expect(await findings(honest(20), CHAIN, before)).toEqual(['shrunk  -1/-1 #-1']);
  });

  it('a log that begins otherwise than the one remembered was rewritten', async () => {
    const before = headOf(honest());
    const log = new TestLog();
    log.enrol('gw-2');
    log.enrol('gw-1');
    log.batches('gw-1', 100);
    expect(await findings(log, CHAIN, before)).toEqual(['rewritten  -1/-1 #-1']);
  });

  it('another key than the one remembered is told', async () => {
    const log = honest();
    expect(await findings(log, CHAIN, { ...headOf(log), vkey: 'other' })).toEqual(['rekeyed  -1/-1 #-1']);
  });

  it('an anchor on another log shows the fork from inside', async () => {
    const log = honest();
    const gateway = log.gateways.get('gw-1')!;
    for (let n = 0; n < 3; n++) log.append(gateway.seal({ anchor: { size: 50, root: digest(Uint8Array.of(n)) } }));
    const report = await audit(log);
    expect(report.findings.map(short)).toEqual(['anchor gw-1 1/41 #83']);
    expect(report.findings[0]!.count).toBe(3);
  });

  it('a bundle that is no bundle is told', async () => {
    const log = honest();
    const { FormatFault } = await import('../src/lib/verify/bytes');
    log.bundle = () => Promise.reject(new FormatFault('ends early'));
    expect((await findings(log)).sort()).toEqual(['form  -1/-1 #0', 'root  -1/-1 #-1']);
  });

  it('progress reaches the end', async () => {
    const seen: string[] = [];
    await runAudit(honest(300), BODIES, null, (p) => void (p.done === p.of && seen.push(`${p.phase} ${p.of}`)));
    expect(seen).toEqual(['entries 603', 'signatures 5']);
  });
});
