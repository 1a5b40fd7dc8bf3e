/** Order, grouping and life of alarms. */
import { describe, expect, it } from 'vitest';
import { alarmAt, byUrgency, groupAlarms, mergeAlarm, ruleKey } from '../src/lib/alarms';
import type { Alarm } from '../src/lib/types';

const alarm = (id: string, more: Partial<Alarm> = {}): Alarm => ({
  id,
  gateway: 'gw',
  point: `p-${id}`,
  rule: 'limit_high',
  severity: 2,
  state: 'unacked',
  begin_us: 100,
  end_us: 0,
  received_us: 110,
  acked_us: 0,
  acked_by: '',
  note: '',
  text: '',
  detector: 'limits/1',
  numbers: {},
  index: 1,
  ...more,
});

describe('alarms', () => {
  it('come unacknowledged first, then active, then the more urgent, then the newer', () => {
    const list = [
      alarm('acked', { state: 'acked', severity: 1 }),
      alarm('returned', { state: 'rtn_unacked', end_us: 150, severity: 1 }),
      alarm('old', { severity: 1, begin_us: 50 }),
      alarm('new', { severity: 1, begin_us: 90 }),
      alarm('less', { severity: 3 }),
    ];
    expect([...list].sort(byUrgency).map((a) => a.id)).toEqual(['new', 'old', 'less', 'returned', 'acked']);
  });

  it('fold into one row only where more than five stand alike in one place', () => {
    const many = Array.from({ length: 6 }, (_, i) => alarm(`m${i}`));
    const few = Array.from({ length: 5 }, (_, i) => alarm(`f${i}`));
    const place = (a: Alarm): string => (a.id.startsWith('m') ? 'face' : 'gate');
    const rows = groupAlarms([...many, ...few], place);
    expect(rows.filter((r) => r.kind === 'group')).toHaveLength(1);
    expect(rows.filter((r) => r.kind === 'alarm')).toHaveLength(5);
  });

  it('are not folded while the list is short', () => {
    const list = Array.from({ length: 10 }, (_, i) => alarm(`a${i}`));
    expect(groupAlarms(list, () => 'face').every((r) => r.kind === 'alarm')).toBe(true);
  });

  it('never fold an acknowledged one under an unacknowledged row', () => {
    const list = Array.from({ length: 12 }, (_, i) => alarm(`a${i}`, { state: i < 6 ? 'unacked' : 'acked' }));
    const rows = groupAlarms(list, () => 'face');
    expect(rows.map((r) => (r.kind === 'group' ? r.alarms.length : 0))).toEqual([6, 6]);
  });

  it('leave the list when over, and change in place', () => {
    const list = [alarm('a'), alarm('b')];
    expect(mergeAlarm(list, alarm('a', { state: 'normal' })).map((a) => a.id)).toEqual(['b']);
    expect(mergeAlarm(list, alarm('a', { state: 'acked' })).find((a) => a.id === 'a')?.state).toBe('acked');
  });

  it('are shown in a replay as they stood then, knowing nothing that came later', () => {
    const whole = alarm('x', { begin_us: 100, acked_us: 200, end_us: 300, state: 'normal', acked_by: 'u', note: 'n' });
    expect(alarmAt(whole, 99)).toBeNull();
    expect(alarmAt(whole, 150)).toMatchObject({ state: 'unacked', acked_by: null, note: null, end_us: null });
    expect(alarmAt(whole, 250)).toMatchObject({ state: 'acked', acked_by: 'u' });
    expect(alarmAt(whole, 300)).toBeNull();
    expect(alarmAt({ ...whole, acked_us: 400 }, 350)).toMatchObject({ state: 'rtn_unacked' });
  });

  it('know their rule with or without a suffix', () => {
    expect(ruleKey('limit_high')).toBe('rule.limit_high');
    expect(ruleKey('limit_high/1')).toBe('rule.limit_high');
    expect(ruleKey('limit_high_2')).toBe('rule.limit_high');
    expect(ruleKey('tamper')).toBe('rule.inconsistent');
    expect(ruleKey('something else')).toBeNull();
  });
});
