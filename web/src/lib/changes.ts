/** What changed in a log, in words for a regulator; pure. Rows are the server's, read from the log's own records. */
import type { Lang } from './format';

export interface Change {
  index: number;
  kind: string;
  gateway: string;
  time_us: number;
  received_us: number;
  summary: Record<string, unknown>;
  text: string;
}

/** key: who may sign. limit: what raises an alarm. map: what is measured where. gap: what is missing. record: the rest. */
export type Concern = 'key' | 'limit' | 'map' | 'gap' | 'record';

export interface Line {
  concern: Concern;
  /** A limit loosened, a key changed, something missing: shown first and marked. */
  grave: boolean;
  text: string;
}

interface LimitRow {
  point: string;
  kind: string;
  severity: number;
  unit: string;
  from: { value: number; delay_s: number } | null;
  to: { value: number; delay_s: number } | null;
}

const LIMITS: Record<string, { grave: boolean; zh: string; en: string }> = {
  limits_loosened: { grave: true, zh: '放宽限值', en: 'Limit loosened' },
  limits_removed: { grave: true, zh: '取消限值', en: 'Limit removed' },
  limits_tightened: { grave: false, zh: '收紧限值', en: 'Limit tightened' },
  limits_added: { grave: false, zh: '新增限值', en: 'Limit added' },
  limits_changed: { grave: false, zh: '限值改动', en: 'Limit changed' },
};

const MAPS: Record<string, { grave: boolean; zh: string; en: string }> = {
  points_removed: { grave: true, zh: '取消测点', en: 'Points removed' },
  points_added: { grave: false, zh: '新增测点', en: 'Points added' },
  devices_removed: { grave: true, zh: '取消设备', en: 'Devices removed' },
  devices_added: { grave: false, zh: '新增设备', en: 'Devices added' },
  devices_changed: { grave: false, zh: '设备改动', en: 'Devices changed' },
};

/** The lines of one change, the grave ones first. */
export function changeLines(change: Change, lang: Lang): Line[] {
  const lines = change.kind === 'manifest' && !change.summary['first'] ? manifestLines(change.summary, lang) : [];
  if (!lines.length) lines.push(plainLine(change, lang));
  return lines.sort((a, b) => Number(b.grave) - Number(a.grave));
}

function plainLine(change: Change, lang: Lang): Line {
  const { kind, gateway, summary } = change;
  const zh: Record<string, string> = {
    genesis: summary['simulated'] ? '日志开始（标明为模拟）' : '日志开始',
    enrol: `登记密钥 ${String(summary['kid'])}，第 ${String(summary['epoch'])} 期`,
    rotate: '更换密钥',
    revoke: '吊销密钥',
    restore: '服务器自备份恢复',
    structure: `新的巷道结构，第 ${String(summary['revision'])} 版`,
    manifest: `首份测点清单，${String(summary['points'])} 个测点`,
    gap: `网关说明缺失 ${String(summary['batches'] ?? '?')} 批：${String(summary['reason'] ?? '?')}`,
    silence: `网关 ${String(summary['gateway'] ?? gateway)} ${summary['end_us'] ? '恢复上传' : '失联'}`,
    fork: `网关 ${String(summary['gateway'] ?? gateway)} 的两份声明互相矛盾`,
    calibration: '标校',
    acknowledgement: '报警确认',
    access: '查看人员姓名',
  };
  const concerns: Record<string, Concern> = { genesis: 'key', enrol: 'key', rotate: 'key', revoke: 'key', structure: 'map', manifest: 'map', gap: 'gap', silence: 'gap', fork: 'gap', restore: 'gap', calibration: 'limit' };
  const grave = ['rotate', 'revoke', 'restore', 'gap', 'fork'].includes(kind) || (kind === 'silence' && !summary['end_us']);
  return { concern: concerns[kind] ?? 'record', grave, text: lang === 'zh' ? (zh[kind] ?? change.text) : change.text };
}

function manifestLines(summary: Record<string, unknown>, lang: Lang): Line[] {
  const lines: Line[] = [];
  for (const [key, word] of Object.entries(LIMITS)) {
    for (const row of rows<LimitRow>(summary[key])) lines.push({ concern: 'limit', grave: word.grave, text: `${word[lang]}: ${row.point} ${side(row.kind, lang)} P${row.severity} ${limitText(row)}` });
  }
  for (const [key, word] of Object.entries(MAPS)) {
    const found = rows<string>(summary[key]);
    if (found.length) lines.push({ concern: 'map', grave: word.grave, text: `${word[lang]}: ${found.slice(0, 12).join(', ')}${found.length > 12 ? ` … (${found.length})` : ''}` });
  }
  for (const row of rows<{ point: string; field: string; from: unknown; to: unknown }>(summary['points_changed'])) {
    lines.push({ concern: 'map', grave: row.field === 'range_high' || row.field === 'device', text: `${row.point} ${row.field}: ${String(row.from)} → ${String(row.to)}` });
  }
  for (const key of ['software', 'ruleset', 'structure', 'site']) {
    const moved = summary[key] as { from: unknown; to: unknown } | undefined;
    if (moved && typeof moved === 'object') lines.push({ concern: key === 'ruleset' ? 'limit' : 'record', grave: key === 'ruleset', text: `${key}: ${short(moved.from)} → ${short(moved.to)}` });
  }
  return lines;
}

const rows = <T>(item: unknown): T[] => (Array.isArray(item) ? (item as T[]) : []);
const short = (item: unknown): string => (String(item).length > 24 ? `${String(item).slice(0, 12)}…` : String(item));

function side(kind: string, lang: Lang): string {
  return { high: { zh: '上限', en: 'high' }, low: { zh: '下限', en: 'low' }, rate: { zh: '变化率', en: 'rate' } }[kind]?.[lang] ?? kind;
}

function limitText(row: LimitRow): string {
  const one = (limit: LimitRow['from']): string => (limit ? `${limit.value} ${row.unit}${limit.delay_s ? ` / ${limit.delay_s} s` : ''}` : '–');
  return `${one(row.from)} → ${one(row.to)}`;
}

/** Kinds that say how the server works, not what changed on site. */
export const isHousekeeping = (change: Change): boolean => change.kind === 'clock' && !('rule' in change.summary);

export interface Seen {
  index: number;
  time_us: number;
}

const seenKey = (enterprise: string): string => `minetwin.seen.${enterprise}`;

/** Up to which entry this browser's user has looked at the changes; null before the first visit. */
export function recallSeen(enterprise: string, storage: Pick<Storage, 'getItem'> = localStorage): Seen | null {
  try {
    const found = JSON.parse(storage.getItem(seenKey(enterprise)) ?? 'null') as Seen | null;
    return found && Number.isSafeInteger(found.index) ? found : null;
  } catch {
    return null;
  }
}

export function rememberSeen(enterprise: string, seen: Seen, storage: Pick<Storage, 'setItem'> = localStorage): void {
  try {
    storage.setItem(seenKey(enterprise), JSON.stringify(seen));
  } catch {
    // a browser that keeps nothing shows everything each time
  }
}
