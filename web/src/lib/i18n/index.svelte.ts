/** Chinese and English: the language in use and its words; a key is checked by the compiler, one language is loaded. */
import { router } from '../router.svelte';
import { store, stored } from '../settings.svelte';
import type { Lang } from '../format';
import type { Key } from './zh';

type Words = Record<Key, string>;

const LOAD: Record<Lang, () => Promise<Words>> = {
  zh: async () => (await import('./zh')).zh,
  en: async () => (await import('./en')).en,
};

function firstLang(): Lang {
  const asked = router.get('lang') || stored('lang');
  if (asked === 'zh' || asked === 'en') return asked;
  return navigator.languages.some((l) => l.toLowerCase().startsWith('zh')) ? 'zh' : 'en';
}

class Language {
  now = $state<Lang>('en');
  words = $state.raw<Words>({} as Words);

  /** Change to a language once its words are here. */
  async use(lang: Lang): Promise<void> {
    this.words = await LOAD[lang]();
    this.now = lang;
  }

  toggle = async (): Promise<void> => {
    const lang = this.now === 'zh' ? 'en' : 'zh';
    await this.use(lang);
    store('lang', lang);
    router.set({ lang });
  };
}

export const language = new Language();
await language.use(firstLang()); // nothing is shown before there are words

/** The word for a key in the present language, with {name} places filled. */
export function t(key: Key, fill: Record<string, string | number> = {}): string {
  return language.words[key].replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ''));
}

/** The word for a key made at run time, or the text itself when there is none. */
export function wordOr(key: string, otherwise: string): string {
  return key in language.words ? t(key as Key) : otherwise;
}

export type { Key };
