/** Numbers, times and units as people read them; pure, the language is an argument. */

export type Lang = 'zh' | 'en';

const LOCALE: Record<Lang, string> = { zh: 'zh-CN', en: 'en-GB' };
const NO_VALUE = '–';

// A unit as manifests write it to what stands on a page.
const UNITS: Record<string, string> = {
  '1': '',
  pH: '',
  Cel: '°C',
  deg: '°',
  'mg/m3': 'mg/m³',
  'ug/m3': 'µg/m³',
  'm3/s': 'm³/s',
  'm3/min': 'm³/min',
  'm3/h': 'm³/h',
  'kW.h': 'kW·h',
  us: 'µs',
  By: 'B',
  kBy: 'kB',
  MBy: 'MB',
};

/** The printed form of a manifest's unit. */
export const unitText = (unit: string): string => UNITS[unit] ?? unit;

/** A reading at its declared resolution; a dash when there is no number. */
export function valueText(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_VALUE;
  return value.toFixed(Math.min(Math.max(decimals, 0), 6));
}

/** A count with thousands separators. */
export const countText = (n: number, lang: Lang): string => n.toLocaleString(LOCALE[lang]);

const pad = (n: number, width = 2): string => String(n).padStart(width, '0');

/** hh:mm:ss on the viewer's clock. */
export function timeText(us: number | null | undefined): string {
  if (!us) return NO_VALUE;
  const d = new Date(us / 1000);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/** hh:mm:ss.mmm, for comparing two close times. */
export function timeTextFine(us: number | null | undefined): string {
  return us ? `${timeText(us)}.${pad(new Date(us / 1000).getMilliseconds(), 3)}` : NO_VALUE;
}

/** yyyy-mm-dd hh:mm:ss on the viewer's clock. */
export function dateTimeText(us: number | null | undefined): string {
  return us ? `${dateText(us)} ${timeText(us)}` : NO_VALUE;
}

/** yyyy-mm-dd on the viewer's clock. */
export function dateText(us: number): string {
  const d = new Date(us / 1000);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
}

/** The time alone when it lies on the same day as `now_us`, else with its date. */
export function nearTimeText(us: number | null | undefined, now_us: number): string {
  if (!us) return NO_VALUE;
  return dateText(us) === dateText(now_us) ? timeText(us) : dateTimeText(us);
}

const SPANS: Record<Lang, { ms: string; s: string; min: string; h: string; d: string }> = {
  zh: { ms: '毫秒', s: '秒', min: '分', h: '小时', d: '天' },
  en: { ms: 'ms', s: 's', min: 'min', h: 'h', d: 'd' },
};

/** A length of time in its two leading units: "4 min 12 s", "3 h 05 min". */
export function spanText(seconds: number, lang: Lang): string {
  const u = SPANS[lang];
  if (!Number.isFinite(seconds)) return NO_VALUE;
  if (seconds < 0) return `-${spanText(-seconds, lang)}`;
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)} ${u.ms}`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} ${u.s}`;
  if (s < 3600) return `${Math.floor(s / 60)} ${u.min} ${pad(s % 60)} ${u.s}`;
  if (s < 86400) return `${Math.floor(s / 3600)} ${u.h} ${pad(Math.floor((s % 3600) / 60))} ${u.min}`;
  return `${Math.floor(s / 86400)} ${u.d} ${Math.floor((s % 86400) / 3600)} ${u.h}`;
}

/** A round span in one unit: "10 min", "8 h", "7 d". */
export function shortSpan(seconds: number, lang: Lang): string {
  const u = SPANS[lang];
  if (seconds < 3600) return `${Math.round(seconds / 60)} ${u.min}`;
  return seconds < 86400 ? `${Math.round(seconds / 3600)} ${u.h}` : `${Math.round(seconds / 86400)} ${u.d}`;
}

/** The offset of the viewer's clock, "UTC+08:00". */
export function zoneText(date = new Date()): string {
  const offset_min = -date.getTimezoneOffset();
  const size = Math.abs(offset_min);
  return `UTC${offset_min < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

/** A share as a percentage that never rounds an incomplete one up to 100. */
export function shareText(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return NO_VALUE;
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

/** Local date and time for an <input type="datetime-local">, to the second. */
export function inputTime(us: number): string {
  return dateTimeText(us).replace(' ', 'T');
}

/** The inverse of inputTime; NaN when the text is no time. */
export const parseInputTime = (text: string): number => new Date(text).getTime() * 1000;

const BILINGUAL = /^([^\u2e80-\u9fff\uff00-\uffef]+?)\s+(\S*[\u2e80-\u9fff].*)$/u;

/** A name written as "English 中文" in the reader's language; any other name as it is. */
export function localName(name: string, lang: Lang): string {
  const parts = BILINGUAL.exec(name);
  return parts ? (parts[lang === 'zh' ? 2 : 1] as string) : name;
}
