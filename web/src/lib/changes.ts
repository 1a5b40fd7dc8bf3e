/** What changed in a log, in words for a regulator; pure. Rows are the server's, read from the log's own records. */
import type { Lang } from './format';
import { unitText } from './format';

export interface Change {
  index: number;
  kind: string;
  gateway: string;
  time_us: number;
  received_us: number;
  summary: Record<string, unknown>;
  text: string;
}

/** key: who may sign. limit: what raises an alarm. bypass: a person's word that a point does not count for a while. map: what is measured where. gap: what is missing. record: the rest. */
export const CONCERNS = ['key', 'limit', 'bypass', 'map', 'gap', 'record'] as const;
export type Concern = (typeof CONCERNS)[number];

/** looser: more passes without an alarm than before. note: a key, a gap, a contradiction. '' for all else. */
export type Mark = 'looser' | 'note' | '';

export interface Line {
  concern: Concern;
  mark: Mark;
  text: string;
}

interface LimitRow {
  point: string;
  kind: string;
  severity: number;
  unit: string;
  from: { value: number; delay_s: number; restore?: number } | null;
  to: { value: number; delay_s: number; restore?: number } | null;
}

type Words = Record<Lang, string>;

const LIMIT_BUCKETS = ['limits_loosened', 'limits_removed', 'limits_tightened', 'limits_added', 'limits_changed'];
const LOOSER = ['limits_loosened', 'limits_removed'];

const MAPS: Record<string, Words & { mark: Mark }> = {
  points_removed: { mark: 'note', zh: '取消测点', en: 'Points removed' },
  points_added: { mark: '', zh: '新增测点', en: 'Points added' },
  devices_removed: { mark: 'note', zh: '取消设备', en: 'Devices removed' },
  devices_added: { mark: '', zh: '新增设备', en: 'Devices added' },
  devices_changed: { mark: '', zh: '设备改动', en: 'Devices changed' },
};

const HEADS: Record<string, Words & { concern: Concern }> = {
  software: { concern: 'record', zh: '网关软件', en: 'Software' },
  ruleset: { concern: 'limit', zh: '规则集', en: 'Rule set' },
  structure: { concern: 'map', zh: '巷道结构', en: 'Structure' },
  simulated: { concern: 'record', zh: '模拟标记', en: 'Simulated mark' },
  site: { concern: 'record', zh: '矿点', en: 'Site' },
};

const FIELDS: Record<string, Words> = {
  quantity: { zh: '测量量', en: 'quantity' },
  unit: { zh: '单位', en: 'unit' },
  decimals: { zh: '小数位', en: 'decimals' },
  raw: { zh: '原始值', en: 'raw value' },
  range_low: { zh: '量程下限', en: 'range from' },
  range_high: { zh: '量程上限', en: 'range to' },
  name: { zh: '名称', en: 'name' },
  zone: { zh: '区域', en: 'zone' },
  roadway: { zh: '巷道', en: 'roadway' },
  chainage_m: { zh: '里程（米）', en: 'chainage in m' },
  device: { zh: '设备', en: 'device' },
  calibrated: { zh: '标校日期', en: 'calibrated on' },
};
const GRAVE_FIELDS = ['range_low', 'range_high', 'device', 'quantity', 'unit', 'roadway', 'chainage_m', 'raw'];
const NAMED_MAX = 12;

/** The lines of one change, the marked ones first. */
export function changeLines(change: Change, lang: Lang): Line[] {
  const compared = change.kind === 'manifest' && !change.summary['first'] && !change.summary['disputed'];
  const lines = compared ? manifestLines(change.summary, lang) : [];
  if (!lines.length) lines.push(plainLine(change, lang));
  return lines.sort((a, b) => Number(Boolean(b.mark)) - Number(Boolean(a.mark)));
}

/** Who countersigned a change that a second party has to look at: [] is one party alone; null, nobody has to. */
export function secondParties(change: Change): string[] | null {
  const found = change.summary['countersigned'];
  return Array.isArray(found) ? found.map(String) : null;
}

/** The gateway a change is about; a statement of the server names it in its record. */
export const subjectOf = (change: Change): string => String(change.summary['gateway'] ?? change.gateway);

const CONCERN_OF: Record<string, Concern> = {
  genesis: 'key', party: 'key', countersign: 'key', enrol: 'key', rotate: 'key', revoke: 'key', fork: 'key', restore: 'gap', gap: 'gap', silence: 'gap',
  manifest: 'map', structure: 'map', ruleset: 'limit', calibration: 'map', mark: 'bypass', commissioning: 'map',
}; // prettier-ignore
const NOTED = ['enrol', 'rotate', 'revoke', 'restore', 'gap', 'fork', 'party'];

function plainLine(change: Change, lang: Lang): Line {
  const { kind, summary } = change;
  const begun = ['silence', 'clock'].includes(kind) && !summary['end_us'];
  const mark: Mark = NOTED.includes(kind) || begun || summary['disputed'] ? 'note' : '';
  let text = lang === 'zh' ? chinese(change) : english(change);
  if (kind === 'mark' && !summary['end_ms']) return { concern: 'bypass', mark: summary['what'] === 'bypass' ? 'looser' : 'note', text };
  if (summary['disputed']) text += lang === 'zh' ? ' 与另一声明矛盾，未采用。' : ' It contradicts another statement and is not used.';
  return { concern: CONCERN_OF[kind] ?? 'record', mark, text };
}

const GAP_REASONS: Record<string, Words> = {
  quota: { zh: '存储已满，正文已舍弃', en: 'the store was full, their bodies were given up' },
  quota_statements: { zh: '存储已满，整批已舍弃', en: 'the store was full, whole batches were given up' },
  damage: { zh: '发现存储损坏', en: 'the store was found damaged' },
  memory: { zh: '磁盘无法写入且内存不足，正文已舍弃', en: 'the disk took no writes and memory was short, their bodies were given up' },
  reserve: { zh: '为磁盘故障预留的编号，停电后不再使用，其中部分可能已在日志中', en: 'numbers reserved for a failing disk, not used again after a power cut; some may be in the log' },
  not_kept: { zh: '服务器恢复备份后缺少，网关也已不再保留', en: 'the server lost them and the gateway no longer keeps them' },
};

function english(change: Change): string {
  if (change.kind === 'manifest' && change.summary['first']) return `First point map: ${String(change.summary['points'])} points, software ${String(change.summary['software'] ?? '?')}.`;
  const reason = change.kind === 'gap' ? GAP_REASONS[String(change.summary['reason'])] : undefined;
  return reason ? `Gateway ${change.gateway} says that ${String(change.summary['batches'])} batches are missing: ${reason.en}.` : change.text;
}

/** Who signs a commissioning certificate, by role. */
const ROLES: Record<string, string> = { installer: '安装人员', technician: '矿方技术员', inspector: '检查人员', vendor: '厂家' };

const MARKS: Record<string, string> = { calibrating: '标校', bypass: '旁路', blasting: '爆破' };

function chinese(change: Change): string {
  const { kind, summary } = change;
  const say = (name: string): string => String(summary[name] ?? '?');
  const who = subjectOf(change);
  const ended = summary['end_us'] ? '，已恢复' : '';
  if ('unreadable' in summary) return `${who} 的一条 ${kind} 记录无法读取。`;
  if (kind === 'manifest') return summary['first'] ? `首份测点表：${say('points')} 个测点，软件 ${say('software')}。` : '测点表重发，没有改动。';
  if (kind === 'silence') return `网关 ${who} ${summary['rule'] === 'late' ? '数据滞后' : '静默'}${ended}。`;
  if (kind === 'clock') return 'rule' in summary ? `网关 ${who} 的时钟快于服务器${ended}。` : '服务器声明此前记录的接收时间。';
  const told: Record<string, string> = {
    genesis: summary['simulated'] ? '日志开始，标明为模拟。' : '日志开始。',
    enrol: `网关 ${who} 登记密钥 ${say('kid')}，第 ${say('epoch')} 期。`,
    rotate: `网关 ${who} 更换密钥 ${say('kid')}。`,
    revoke: `网关 ${who} 的密钥 ${say('kid')} 已吊销：${say('reason')}。`,
    restore: '服务器数据自较早的备份恢复，由网关补传缺失部分。',
    structure: `网关 ${who} 提交巷道结构，第 ${say('revision')} 版。`,
    gap: `网关 ${who} 声明缺失 ${say('batches')} 批：${GAP_REASONS[say('reason')]?.zh ?? say('reason')}。`,
    fork: `网关 ${who} 的两份声明互相矛盾：${say('reason')}`,
    acknowledgement: `${say('by')} 确认 ${summary['point'] ? say('point') : who} 的报警（${say('rule')}）。`,
    mark: `${who} 的测点 ${say('point')}${summary['end_ms'] ? '结束' : '开始'}${MARKS[say('what')] ?? say('what')}（${say('by')}：${say('reason')}）。`,
    commissioning: `${say('by')}（${ROLES[say('role')] ?? say('role')}）开通网关 ${who}：${rows(summary['devices']).length} 台设备，${say('points')} 个测点。`,
    party: `${say('party')}（${say('role')}）自此可以会签。`,
    countersign: `${say('party')} 会签第 ${say('index')} 条。`,
    witness: `见证方已会签 ${say('size')} 条时的日志头。`,
    access: `${say('who')}：对标识卡 ${say('tag')} 执行 ${say('act')}。`,
  };
  return told[kind] ?? change.text;
}

function manifestLines(summary: Record<string, unknown>, lang: Lang): Line[] {
  const lines: Line[] = [];
  for (const bucket of LIMIT_BUCKETS) {
    for (const row of rows<LimitRow>(summary[bucket])) lines.push({ concern: 'limit', mark: LOOSER.includes(bucket) ? 'looser' : '', text: limitText(row, lang) });
    lines.push(...unnamed(summary, bucket, 'limit', lang));
  }
  for (const [key, word] of Object.entries(MAPS)) {
    const found = rows<string>(summary[key]);
    const all = found.length + Number(summary[`${key}_more`] ?? 0);
    if (found.length) lines.push({ concern: 'map', mark: word.mark, text: `${word[lang]}: ${found.slice(0, NAMED_MAX).join(', ')}${all > NAMED_MAX ? ` … (${all})` : ''}` });
  }
  for (const row of rows<{ point: string; field: string; from: unknown; to: unknown }>(summary['points_changed'])) {
    const mark: Mark = GRAVE_FIELDS.includes(row.field) ? 'note' : '';
    lines.push({ concern: 'map', mark, text: `${row.point} ${FIELDS[row.field]?.[lang] ?? row.field}: ${plain(row.from)} → ${plain(row.to)}` });
  }
  lines.push(...unnamed(summary, 'points_changed', 'map', lang));
  for (const [key, word] of Object.entries(HEADS)) {
    const moved = summary[key] as { from: unknown; to: unknown } | undefined;
    if (moved && typeof moved === 'object') lines.push({ concern: word.concern, mark: key === 'ruleset' || key === 'simulated' ? 'note' : '', text: `${word[lang]}: ${plain(moved.from)} → ${plain(moved.to)}` });
  }
  return lines;
}

/** The server names at most so many rows of one sort; the rest is told as a number, with the same mark. */
function unnamed(summary: Record<string, unknown>, bucket: string, concern: Concern, lang: Lang): Line[] {
  const n = Number(summary[`${bucket}_more`] ?? 0);
  if (!n) return [];
  const text = lang === 'zh' ? `另有 ${n} 处同类改动` : `${n} more of this kind`;
  return [{ concern, mark: LOOSER.includes(bucket) ? 'looser' : '', text }];
}

const rows = <T>(item: unknown): T[] => (Array.isArray(item) ? (item as T[]) : []);

function plain(item: unknown): string {
  if (item === null || item === undefined || item === '') return '–';
  const text = String(item);
  return /^[0-9a-f]{40,}$/.test(text) ? `${text.slice(0, 12)}…` : text;
}

const SIDES: Record<string, Words> = {
  high: { zh: '上限', en: 'high limit' },
  low: { zh: '下限', en: 'low limit' },
  rate: { zh: '变化率限值', en: 'rate limit' },
};

const MOVES: Record<string, Words> = {
  added: { zh: '新增', en: 'New' },
  removed: { zh: '取消', en: 'Removed' },
  raised: { zh: '调高', en: 'Raised' },
  lowered: { zh: '调低', en: 'Lowered' },
  delayed: { zh: '延时加长', en: 'Longer delay of' },
  sooner: { zh: '延时缩短', en: 'Shorter delay of' },
  changed: { zh: '改动', en: 'Changed' },
};

/** Which way a limit moved: by its value, else by its delay. */
export function limitMove({ from, to }: Pick<LimitRow, 'from' | 'to'>): string {
  if (!from) return 'added';
  if (!to) return 'removed';
  if (from.value !== to.value) return to.value > from.value ? 'raised' : 'lowered';
  if (from.delay_s !== to.delay_s) return to.delay_s > from.delay_s ? 'delayed' : 'sooner';
  return 'changed';
}

function limitText(row: LimitRow, lang: Lang): string {
  const unit = unitText(row.unit);
  const move = limitMove(row);
  const delays = row.from?.delay_s !== row.to?.delay_s;
  const restores = move === 'changed' && row.from?.restore !== row.to?.restore;
  const one = (limit: LimitRow['from']): string => {
    if (!limit) return '–';
    const more = [delays ? (lang === 'zh' ? `延时 ${limit.delay_s} 秒` : `after ${limit.delay_s} s`) : '', restores ? (lang === 'zh' ? `复归 ${limit.restore}` : `restore ${limit.restore}`) : ''];
    return [`${limit.value} ${unit}`.trim(), ...more.filter(Boolean)].join(' ');
  };
  const head = `${MOVES[move]?.[lang] ?? move}${lang === 'zh' ? '' : ' '}${SIDES[row.kind]?.[lang] ?? row.kind}`;
  return `${head} ${row.point} P${row.severity}: ${one(row.from)} → ${one(row.to)}`;
}

/** Kinds that say how the server works, not what changed on site. */
export const isHousekeeping = (change: Change): boolean => change.kind === 'witness' || (change.kind === 'clock' && !('rule' in change.summary));

export interface Tally {
  concern: Concern;
  n: number;
  looser: number;
}

/** How many lines of each concern; concerns without any are left out. */
export function tally(changes: Change[]): Tally[] {
  const lines = changes.flatMap((change) => changeLines(change, 'en'));
  return CONCERNS.map((concern) => {
    const those = lines.filter((line) => line.concern === concern);
    return { concern, n: those.length, looser: those.filter((line) => line.mark === 'looser').length };
  }).filter(({ n }) => n);
}

const WEIGHT: Record<Mark, number> = { looser: 2, note: 1, '': 0 };
const weight = (change: Change): number => Math.max(...changeLines(change, 'en').map((line) => WEIGHT[line.mark]));

/** For a short list: loosened limits first, then what else is marked, then the rest; each newest first. */
export function byWeight(changes: Change[]): Change[] {
  const weighed = changes.map((change) => ({ change, weight: weight(change) }));
  return weighed.sort((a, b) => b.weight - a.weight || b.change.index - a.change.index).map(({ change }) => change);
}

/** `index`: the newest entry looked at; `time_us`: when. */
export interface Seen {
  index: number;
  time_us: number;
}

/** The newest index that counts as looked at: all of the log, unless some changes were not shown yet. */
export function seenIndex(treeSize: number, shown: { index: number }[], more: boolean): number {
  const last = Math.max(-1, ...shown.map(({ index }) => index));
  return more ? last : Math.max(treeSize - 1, last);
}

/** Where to read on from; a log that is shorter than what was seen is not the same log: everything again. */
export function readFrom(seen: Seen | null, treeSize: number): { index: number; shorter: boolean } {
  if (!seen) return { index: 0, shorter: false };
  return seen.index >= treeSize ? { index: 0, shorter: true } : { index: seen.index + 1, shorter: false };
}

const seenKey = (enterprise: string): string => `minetwin.seen.${enterprise}`;

/** Up to which entry this browser's user has looked at the changes; null before the first visit. */
export function recallSeen(enterprise: string, storage: Pick<Storage, 'getItem'> = localStorage): Seen | null {
  try {
    const found = JSON.parse(storage.getItem(seenKey(enterprise)) ?? 'null') as Seen | null;
    return found && Number.isSafeInteger(found.index) && found.index >= 0 && Number.isSafeInteger(found.time_us) ? found : null;
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
