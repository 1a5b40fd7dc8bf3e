/** The words of the gateway's page; both languages have the same keys. */
import { language } from '../lib/i18n/index.svelte';

const zh = {
  title: '网关', simulated: '模拟矿井 SIMULATED', asking: '正在询问网关程序…', lost: '网关程序无应答，下列数据停在 {time}（{age} 前）',
  never: '网关程序无应答', never_hint: '在网关上运行：edge-agent run gateway.toml；查看日志：journalctl -u edge-agent',
  pin: 'PIN 码', pin_hint: '在网关的 PIN 文件里', pin_enter: '进入', pin_wrong: 'PIN 不对', pin_wait: '错误次数过多，请几分钟后再试',
  key: '密钥编号', key_hint: '与服务器屏幕上的编号逐字核对', version: '版本', uptime: '已运行', site: '场所',
  sync: '同步', server: '服务器', state: '状态', queue: '队列', unsent: '未发送', position: '本机已封存至', at_server: '服务器已有至', receipt: '最近回执', verified: '已核验日志', backoff: '下次重试', watched: '有人查看，每秒封存', quarantined: '被拒批次',
  budget: '断网可用时间', budget_hint: '断网后这么久才会丢失数据', budget_unknown: '尚未算出', queue_bytes: '队列占用',
  clock: '时钟', clock_none: '未同步', clock_ntp: 'NTP 同步', clock_gnss: '卫星同步', clock_manual: '人工设置', clock_error: '误差不超过 {n} 毫秒', clock_unknown: '误差未知',
  links: '链路', load: '占用', answers: '应答', timeouts: '超时', crc: '校验错', exceptions: '拒绝', late: '迟到', missed: '漏扫', turnaround: '应答时间',
  devices: '设备', unit: '地址', last_answer: '最近应答', last_question: '最近请求', registers: '{n} 个测点', no_points: '没有测点', since: '自', find: '查找设备或测点',
  events: '近期事件', no_events: '没有事件', active: '当前状况', raw: '原始整数', age: '{age} 前', no_data: '无数据', quality: '质量', none: '没有',
  offline: '离线', sending: '在线发送', rejected: '被服务器拒绝',
  up: '正常', down: '无应答', degraded: '部分无应答', starting: '启动中',
  honesty: '签名只证明记录封存后未改动，不代表数值真实。', theme: '明暗', language: 'English', read_only: '本页只读，不改变任何设置。',
} as const;

export type Word = keyof typeof zh;

const en: Record<Word, string> = {
  title: 'Gateway', simulated: 'SIMULATED MINE 模拟', asking: 'Asking the agent…', lost: 'The agent does not answer: what stands below is of {time} ({age} ago)',
  never: 'The agent does not answer', never_hint: 'On the gateway run: edge-agent run gateway.toml; its log: journalctl -u edge-agent',
  pin: 'PIN', pin_hint: "it is in the gateway's PIN file", pin_enter: 'Enter', pin_wrong: 'Wrong PIN', pin_wait: 'Too many wrong PINs: try again in some minutes',
  key: 'Key id', key_hint: "compare with the server's screen, character by character", version: 'Version', uptime: 'Running for', site: 'Site',
  sync: 'Sync', server: 'Server', state: 'State', queue: 'Queue', unsent: 'Unsent', position: 'Sealed here up to', at_server: 'At the server up to', receipt: 'Last receipt', verified: 'Log verified', backoff: 'Next try in', watched: 'someone watches: sealed each second', quarantined: 'Refused batches',
  budget: 'Time without a link', budget_hint: 'so long after a link cut until data is lost', budget_unknown: 'not known yet', queue_bytes: 'Queue holds',
  clock: 'Clock', clock_none: 'not synchronised', clock_ntp: 'by NTP', clock_gnss: 'by satellite', clock_manual: 'set by hand', clock_error: 'error within {n} ms', clock_unknown: 'error not known',
  links: 'Links', load: 'Load', answers: 'Answers', timeouts: 'Time-outs', crc: 'CRC errors', exceptions: 'Refusals', late: 'Late', missed: 'Missed scans', turnaround: 'Turnaround',
  devices: 'Devices', unit: 'unit', last_answer: 'Last answer', last_question: 'Last question', registers: '{n} points', no_points: 'no points', since: 'since', find: 'Find a device or point',
  events: 'Recent events', no_events: 'No events', active: 'Now', raw: 'raw', age: '{age} ago', no_data: 'no data', quality: 'Quality', none: 'none',
  offline: 'offline', sending: 'sending', rejected: 'refused by the server',
  up: 'up', down: 'no answer', degraded: 'partly silent', starting: 'starting',
  honesty: 'A signature proves that a record is unaltered since sealing, not that a value is true.', theme: 'Light or dark', language: '中文', read_only: 'This page only reads; it changes nothing.',
};

/** The word in the present language, with {name} places filled. */
export function w(key: Word, fill: Record<string, string | number> = {}): string {
  return (language.now === 'zh' ? zh : en)[key].replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ''));
}

/** A length of time in its two largest units. */
export function spanText(seconds: number): string {
  const parts: [number, string, string][] = [[86400, '天', 'd'], [3600, '小时', 'h'], [60, '分', 'min'], [1, '秒', 's']];
  const at = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  const chosen = seconds < 1 ? [parts[3]!] : parts.slice(at, at + 2);
  let left = Math.max(0, seconds);
  return chosen.map(([size, zhUnit, enUnit]) => {
    const n = Math.floor(left / size);
    left -= n * size;
    return `${n} ${language.now === 'zh' ? zhUnit : enUnit}`;
  }).join(' ');
}

/** A number of bytes in the unit that fits. */
export function bytesText(n: number): string {
  return n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(1)} MB`;
}
