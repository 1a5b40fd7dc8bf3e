/** Order, grouping, life cycle in time and words of alarms; pure. */
import type { Key } from './i18n/zh';
import type { Alarm, AlarmState } from './types';

const LIST_FITS = 10; // so many rows are read at a glance: nothing is folded
const GROUP_FROM = 6; // more than five in one place fold into one row

export const isActive = (alarm: Alarm): boolean => !alarm.end_us;
export const needsAck = (alarm: Alarm): boolean => alarm.state === 'unacked' || alarm.state === 'rtn_unacked';
/** Still on the list of an operator: not yet both ended and acknowledged. */
export const isOpen = (alarm: Alarm): boolean => alarm.state !== 'normal';

/** Unacknowledged first, then active, then the more urgent, then the newer. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return (
    Number(needsAck(b)) - Number(needsAck(a)) ||
    Number(isActive(b)) - Number(isActive(a)) ||
    a.severity - b.severity ||
    b.begin_us - a.begin_us ||
    (a.id < b.id ? -1 : 1)
  );
}

const RULE_KEYS: Record<string, Key> = {
  limit_high: 'rule.limit_high',
  limit_low: 'rule.limit_low',
  rate: 'rule.rate',
  stuck: 'rule.stuck',
  deviation: 'rule.deviation',
  tamper: 'rule.inconsistent',
  inconsistent: 'rule.inconsistent',
  hazard: 'rule.hazard',
  sensor_fault: 'rule.sensor_fault',
  benign: 'rule.benign',
  storage_fault: 'rule.storage_fault',
  poll_paused: 'rule.poll_paused',
  link_error: 'rule.link_error',
  clock_sync: 'rule.clock_sync',
  log_inconsistent: 'rule.log_inconsistent',
  verdicts_off: 'rule.verdicts_off',
  device_down: 'rule.device_down',
  alarm_test: 'rule.alarm_test',
  device_config: 'rule.device_config',
  gap: 'rule.gap',
  clock_step: 'rule.clock_step',
  restart: 'rule.restart',
  bus_write: 'rule.bus_write',
  silent: 'rule.silent',
  late: 'rule.late',
  fork: 'rule.fork',
  clock: 'rule.clock',
  rollback: 'rule.rollback',
  headcount: 'rule.headcount',
  headcount_mismatch: 'rule.headcount_mismatch',
  tag_lost: 'rule.tag_lost',
  zone_restricted: 'rule.zone_restricted',
  zone_enter: 'rule.zone_enter',
  zone_exit: 'rule.zone_exit',
  sos: 'rule.sos',
};

/** The dictionary key of a rule's name; "limit_high/1"-like suffixes are ignored; null when the rule is unknown. */
export function ruleKey(rule: string): Key | null {
  const base = rule.split(/[/:.]/)[0] ?? rule;
  return RULE_KEYS[rule] ?? RULE_KEYS[base] ?? RULE_KEYS[base.replace(/_?\d+$/, '')] ?? null;
}

const STATE_KEYS: Record<AlarmState, Key> = {
  unacked: 'alarm.state.unacked',
  acked: 'alarm.state.acked',
  rtn_unacked: 'alarm.state.rtn_unacked',
  normal: 'alarm.state.normal',
};

export const stateKey = (state: AlarmState): Key => STATE_KEYS[state] ?? 'alarm.state.normal';

/** The alarm as it stood at `time_us`, or null when it was not on the list then. */
export function alarmAt(alarm: Alarm, time_us: number): Alarm | null {
  if (alarm.begin_us > time_us) return null;
  const ended = !!alarm.end_us && alarm.end_us <= time_us;
  const acked = !!alarm.acked_us && alarm.acked_us <= time_us;
  if (ended && acked) return null;
  const state: AlarmState = ended ? 'rtn_unacked' : acked ? 'acked' : 'unacked';
  return {
    ...alarm,
    state,
    end_us: ended ? alarm.end_us : null,
    acked_us: acked ? alarm.acked_us : null,
    acked_by: acked ? alarm.acked_by : null,
    note: acked ? alarm.note : null,
  };
}

export type AlarmRow = { kind: 'alarm'; alarm: Alarm } | { kind: 'group'; place: string; alarms: Alarm[] };

/** Rows in order of urgency; in a flood, a place with more than five alarms of like standing becomes one row. */
export function groupAlarms(alarms: Alarm[], placeOf: (alarm: Alarm) => string): AlarmRow[] {
  const sorted = [...alarms].sort(byUrgency);
  if (sorted.length <= LIST_FITS) return sorted.map((alarm) => ({ kind: 'alarm', alarm }));
  const groups = new Map<string, Alarm[]>();
  for (const alarm of sorted) {
    const key = `${placeOf(alarm)}\0${needsAck(alarm)}`;
    groups.set(key, [...(groups.get(key) ?? []), alarm]);
  }
  const rows: AlarmRow[] = [];
  const folded = new Set<string>();
  for (const alarm of sorted) {
    const place = placeOf(alarm);
    const key = `${place}\0${needsAck(alarm)}`;
    const members = groups.get(key) ?? [];
    if (members.length < GROUP_FROM || !place) rows.push({ kind: 'alarm', alarm });
    else if (!folded.has(key)) {
      folded.add(key);
      rows.push({ kind: 'group', place, alarms: members });
    }
  }
  return rows;
}

/** Puts a changed alarm in its list: replaced, added, or taken out once it is over. */
export function mergeAlarm(list: Alarm[], changed: Alarm): Alarm[] {
  const rest = list.filter((a) => a.id !== changed.id);
  return isOpen(changed) ? [...rest, changed] : rest;
}
