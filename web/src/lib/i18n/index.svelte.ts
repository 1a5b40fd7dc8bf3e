/** Chinese and English: the language in use and its words; a key is checked by the compiler. */
import { router } from '../router.svelte';
import { store, stored } from '../settings.svelte';
import type { Lang } from '../format';
import { en } from './en';
import { zh, type Key } from './zh';

const WORDS: Record<Lang, Record<Key, string>> = { zh, en };

function firstLang(): Lang {
  const asked = router.get('lang') || stored('lang');
  if (asked === 'zh' || asked === 'en') return asked;
  return navigator.languages.some((l) => l.toLowerCase().startsWith('zh')) ? 'zh' : 'en';
}

class Language {
  now = $state<Lang>(firstLang());

  toggle = (): void => {
    this.now = this.now === 'zh' ? 'en' : 'zh';
    store('lang', this.now);
    router.set({ lang: this.now });
  };
}

export const language = new Language();

/** The word for a key in the present language, with {name} places filled. */
export function t(key: Key, fill: Record<string, string | number> = {}): string {
  return WORDS[language.now][key].replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ''));
}

/** The word for a key made at run time, or the text itself when there is none. */
export function wordOr(key: string, otherwise: string): string {
  return key in zh ? t(key as Key) : otherwise;
}

export type { Key };
