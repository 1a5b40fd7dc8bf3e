/** Words of the page that opens from disk, in the present language. */
import { language } from '../lib/i18n/index.svelte';
import { countText } from '../lib/format';
import { en } from './en';
import { zh, type Word } from './zh';

/** The word in the present language, with {name} places filled. */
export function w(key: Word, fill: Record<string, string | number> = {}): string {
  return (language.now === 'zh' ? zh : en)[key].replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ''));
}

/** A count with thousands separators. */
export const count = (n: number): string => countText(n, language.now);
