/** Both languages say everything, with the same places to fill; quantities are those of twin_wire. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { en } from '../src/lib/i18n/en';
import { zh, type Key } from '../src/lib/i18n/zh';
import { quantityName } from '../src/lib/quantities';

const root = fileURLToPath(new URL('..', import.meta.url));
const keys = Object.keys(zh) as Key[];
const places = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] as string).sort();

describe('words', () => {
  it('are the same keys in both languages, none empty', () => {
    expect(Object.keys(en).sort()).toEqual([...keys].sort());
    for (const key of keys) expect(zh[key].length && en[key].length, key).toBeGreaterThan(0);
  });

  it('have the same places to fill', () => {
    for (const key of keys) expect(places(en[key]), key).toEqual(places(zh[key]));
  });

  it('never claim more than a signature proves', () => {
    const all = keys.map((key) => `${en[key]} ${zh[key]}`).join('\n');
    expect(all).not.toMatch(/verified value|data verified|数据已验证|guaranteed|certified|tamper/i);
    expect(en['app.honesty']).toContain('unaltered since sealing');
    expect(zh['app.honesty']).toContain('封存后未改动');
  });

  it('use only glyphs of one width class: no curly apostrophe, which a Chinese font draws full width', () => {
    for (const key of keys) expect(en[key], key).not.toMatch(/[\u2018\u2019]/);
  });

  it('are all used, or built from a prefix that is', () => {
    const sources = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
      .filter((f) => /\.(svelte|ts)$/.test(f) && !/i18n[\\/](evidence\.)?(zh|en)\.ts$/.test(f))
      .map((f) => readFileSync(`${root}src/${f}`, 'utf8'))
      .join('\n');
    const built = [...sources.matchAll(/`([\w.]+[._])\$\{/g)].map((m) => m[1] as string); // `state.${x}` makes keys at run time
    const unused = keys.filter((k) => !sources.includes(`'${k}'`) && !built.some((b) => k.startsWith(b) && !k.slice(b.length).includes('.')));
    expect(unused).toEqual([]);
  });
});

describe('quantities', () => {
  it('have the names that twin_wire gives them', () => {
    const source = readFileSync(`${root}../twin_wire/quantity.py`, 'utf8');
    const rows = [...source.matchAll(/Quantity\(\s*"([^"]+)", "[^"]+", \d+, "([^"]+)", "([^"]+)"\s*\)/g)];
    expect(rows.length).toBeGreaterThan(50);
    for (const [, code, english, chinese] of rows) {
      expect(quantityName(code!, 'en')).toBe(english);
      expect(quantityName(code!, 'zh')).toBe(chinese);
    }
  });

  it('fall back on the code', () => expect(quantityName('xyz', 'en')).toBe('xyz'));
});
