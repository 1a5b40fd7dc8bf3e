/** The colours keep their contrast: text 4.5, marks and edges 3 (WCAG 2.2, 1.4.3 and 1.4.11), in both themes. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const css = readFileSync(fileURLToPath(new URL('../src/tokens.css', import.meta.url)), 'utf8');

function tokens(selector: string): Record<string, string> {
  const start = css.indexOf(`${selector} {`);
  const block = css.slice(start, css.indexOf('}', start));
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((m) => [m[1], m[2]]));
}

function luminance(hex: string): number {
  const channel = (i: number): number => {
    const c = parseInt(hex.slice(i, i + 2), 16) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const light = tokens(':root');
const themes = { light, dark: { ...light, ...tokens(":root[data-theme='dark']") } };
const GROUNDS = ['bg', 'panel', 'panel2'];

describe.each(Object.entries(themes))('%s', (_, t) => {
  const of = (a: string, b: string): number => contrast(t[a] as string, t[b] as string);

  it('text reads on every ground', () => {
    for (const ink of ['fg', 'muted', 'nodata', 'failed']) for (const g of GROUNDS) expect(of(ink, g), `${ink} on ${g}`).toBeGreaterThanOrEqual(4.5);
    for (const g of ['panel', 'panel2']) expect(of('ok', g), `ok on ${g}`).toBeGreaterThanOrEqual(4.5);
  });

  it('numbers read on their alarm colour, words on the replay band and the offline pill', () => {
    for (const p of ['p1', 'p2', 'p3', 'p4', 'replay', 'nodata']) expect(of(`${p}-text`, p), p).toBeGreaterThanOrEqual(4.5);
  });

  it('outlines, edges, focus and dots stand out', () => {
    for (const g of GROUNDS) for (const line of ['mark-edge', 'edge', 'focus', 'person', 'trace']) expect(of(line, g), `${line} on ${g}`).toBeGreaterThanOrEqual(3);
    for (const p of ['p1', 'p2', 'p3', 'p4']) expect(Math.max(of(p, 'mark-edge'), of(p, 'panel')), p).toBeGreaterThanOrEqual(3);
  });
});
