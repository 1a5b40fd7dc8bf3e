/** What a regulator is told of a log's changes, and up to where a browser has seen them. */
import { describe, expect, it } from 'vitest';
import { byWeight, changeLines, isHousekeeping, limitMove, readFrom, recallSeen, rememberSeen, seenIndex, subjectOf, tally, type Change } from '../src/lib/changes';

const change = (index: number, kind: string, summary: Record<string, unknown> = {}): Change => ({ index, kind, gateway: 'gw-1', time_us: 1, received_us: 2, summary, text: `${kind} in English` });
const limit = (value: number, delay_s = 2, restore = value - 0.1) => ({ value, restore, delay_s, source: 'site' });
const row = (from: object | null, to: object | null, kind = 'high') => ({ point: 'p0', kind, severity: 1, unit: '%', from, to });
const manifest = (index: number, summary: Record<string, unknown>): Change => change(index, 'manifest', summary);

describe('limits', () => {
  it('are told old to new, a loosened one marked', () => {
    const [line] = changeLines(manifest(3, { limits_loosened: [row(limit(1), limit(1.5))] }), 'en');
    expect(line).toEqual({ concern: 'limit', mark: 'looser', text: 'Raised high limit p0 P1: 1 % → 1.5 %' });
  });

  it('that let less pass are not marked', () => {
    const [line] = changeLines(manifest(3, { limits_tightened: [row(limit(1), limit(0.8))] }), 'zh');
    expect(line).toEqual({ concern: 'limit', mark: '', text: '调低上限 p0 P1: 1 % → 0.8 %' });
  });

  it('are loosened for a low limit when they are lowered: the mark is the effect, the word the direction', () => {
    const [line] = changeLines(manifest(3, { limits_loosened: [row(limit(18), limit(16), 'low')] }), 'en');
    expect(line).toMatchObject({ mark: 'looser', text: 'Lowered low limit p0 P1: 18 % → 16 %' });
  });

  it('that only wait longer say both delays', () => {
    const [line] = changeLines(manifest(3, { limits_loosened: [row(limit(1, 2), limit(1, 60))] }), 'en');
    expect(line?.text).toBe('Longer delay of high limit p0 P1: 1 % after 2 s → 1 % after 60 s');
  });

  it('move by value first, then by delay', () => {
    expect(limitMove({ from: limit(1), to: limit(2, 1) })).toBe('raised');
    expect(limitMove({ from: limit(2), to: limit(1) })).toBe('lowered');
    expect(limitMove({ from: limit(1, 5), to: limit(1, 2) })).toBe('sooner');
    expect(limitMove({ from: limit(1), to: limit(1, 2, 0.5) })).toBe('changed');
    expect(limitMove({ from: null, to: limit(1) })).toBe('added');
    expect(limitMove({ from: limit(1), to: null })).toBe('removed');
  });

  it('beyond the rows the server names are still told, with their mark', () => {
    const lines = changeLines(manifest(3, { limits_loosened: [row(limit(1), limit(2))], limits_loosened_more: 7 }), 'en');
    expect(lines.map(({ mark, text }) => [mark, text])).toContainEqual(['looser', '7 more of this kind']);
  });
});

describe('changes', () => {
  const list = [
    change(0, 'genesis', { simulated: true }),
    change(1, 'enrol', { kid: 'aaaa-bbbb-cccc-dddd', epoch: 1 }),
    manifest(2, { first: true, points: 3 }),
    manifest(3, { limits_loosened: [row(limit(1), limit(1.5))], points_added: ['p3', 'p4'], software: { from: '1', to: '2' } }),
    change(4, 'silence', { gateway: 'gw-2', rule: 'silent', end_us: null }),
    change(5, 'acknowledgement', { by: 'm', point: 'p0', rule: 'limit_high' }),
  ];

  it('are counted by concern, the loosened limits apart', () => {
    expect(tally(list)).toEqual([
      { concern: 'key', n: 2, looser: 0 },
      { concern: 'limit', n: 1, looser: 1 },
      { concern: 'map', n: 2, looser: 0 },
      { concern: 'gap', n: 1, looser: 0 },
      { concern: 'record', n: 2, looser: 0 },
    ]);
  });

  it('come loosened limits first, then what is marked, then the rest, each newest first', () => {
    expect(byWeight(list).map(({ index }) => index)).toEqual([3, 4, 1, 5, 2, 0]);
  });

  it('put the marked lines of one manifest on top', () => {
    expect(changeLines(list[3]!, 'en').map(({ text }) => text)).toEqual(['Raised high limit p0 P1: 1 % → 1.5 %', 'Points added: p3, p4', 'Software: 1 → 2']);
  });

  it('name the gateway they are about, not the one that says it', () => {
    expect(subjectOf(list[4]!)).toBe('gw-2');
    expect(subjectOf(list[1]!)).toBe('gw-1');
  });

  it('of the calibration date and of a range are told by field', () => {
    const moved = [{ point: 'p0', field: 'calibrated', from: '', to: '2026-11-01' }, { point: 'p0', field: 'range_high', from: 4, to: 40 }];
    expect(changeLines(manifest(6, { points_changed: moved }), 'zh')).toEqual([
      { concern: 'map', mark: 'note', text: 'p0 量程上限: 4 → 40' },
      { concern: 'map', mark: '', text: 'p0 标校日期: – → 2026-11-01' },
    ]);
  });

  it('that contradict another statement say that they are not used', () => {
    const [line] = changeLines(manifest(7, { disputed: true, points: 3 }), 'en');
    expect(line?.mark).toBe('note');
    expect(line?.text).toContain('contradicts another statement');
  });

  it('leave out what the server states of its own times', () => {
    expect(isHousekeeping(change(8, 'clock', { received_ms: 4 }))).toBe(true);
    expect(isHousekeeping(change(9, 'clock', { rule: 'clock' }))).toBe(false);
  });
});

describe('what was seen', () => {
  it('reaches to the end of the log, or only to the last change shown when there are more', () => {
    expect(seenIndex(100, [{ index: 3 }, { index: 7 }], false)).toBe(99);
    expect(seenIndex(100, [{ index: 3 }, { index: 7 }], true)).toBe(7);
    expect(seenIndex(100, [{ index: 101 }], false)).toBe(101);
  });

  it('goes on behind it; a log that got shorter is listed from its start', () => {
    expect(readFrom(null, 10)).toEqual({ index: 0, shorter: false });
    expect(readFrom({ index: 9, time_us: 1 }, 10)).toEqual({ index: 10, shorter: false });
    expect(readFrom({ index: 10, time_us: 1 }, 10)).toEqual({ index: 0, shorter: true });
  });

  it('is kept per enterprise, and a spoilt memory counts as a first visit', () => {
    const kept = new Map<string, string>();
    const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
    rememberSeen('e1', { index: 4, time_us: 5 }, storage);
    expect(recallSeen('e1', storage)).toEqual({ index: 4, time_us: 5 });
    expect(recallSeen('e2', storage)).toBeNull();
    for (const spoilt of ['{', '{"index":-1,"time_us":1}', '{"index":"4"}', 'null']) {
      kept.set('minetwin.seen.e1', spoilt);
      expect(recallSeen('e1', storage)).toBeNull();
    }
  });
});
