/** Words, spans and sizes of the gateway's page in the present language. */
import { language } from '../lib/i18n/index.svelte';
import { en } from './en';
import { zh, type Word } from './zh';

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

export type { Word };

/** An integer as hexadecimal digits in whole bytes, a minus before it when it is negative. */
export function hexText(n: number): string {
  const digits = Math.abs(n).toString(16).toUpperCase();
  return `${n < 0 ? '-' : ''}0x${digits.length % 2 ? '0' : ''}${digits}`;
}
