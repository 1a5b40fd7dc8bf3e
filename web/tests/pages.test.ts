/** Addresses, sorting, replay times, quality and the messages of the feed. */
import { describe, expect, it } from 'vitest';
import { backoff_s, otherNotices, parseMessage, worldFactor } from '../src/lib/messages';
import { pointState, staleAfter_s } from '../src/lib/quality';
import { replayFromQuery, shareOf, spanFor } from '../src/lib/replay';
import { parseRoute, sitePath, withQuery } from '../src/lib/routes';
import { clickSort, matches, readSort, sortBy, writeSort } from '../src/lib/sort';
import type { Notice, TickMessage } from '../src/lib/types';

describe('addresses', () => {
  it('lead to their page and back, whatever the id', () => {
    for (const site of ['demo', 'a/b', '矿 1']) {
      expect(parseRoute(sitePath(site))).toEqual({ page: 'overview', site });
      expect(parseRoute(sitePath(site, 'alarms'))).toEqual({ page: 'alarms', site });
    }
    expect(parseRoute('/')).toEqual({ page: 'home' });
    expect(parseRoute('/r/verify/demo')).toEqual({ page: 'verify', site: 'demo' });
  });

  it('that nobody made are unknown, broken escapes too', () => {
    for (const path of ['/x', '/s', '/s/demo/other', '/s/demo/points/1', '/s/%E0%A4%A']) {
      expect(parseRoute(path)).toEqual({ page: 'unknown' });
    }
  });

  it('carry language, theme and time along, and nothing else', () => {
    const present = new URLSearchParams('lang=zh&q=gas&t=5&view=3d');
    expect(withQuery('/s/demo/alarms', present, { point: 'a b' })).toBe('/s/demo/alarms?lang=zh&t=5&point=a+b');
    expect(withQuery('/', new URLSearchParams())).toBe('/');
  });
});

describe('sorting', () => {
  const rows = [{ v: 2 }, { v: NaN }, { v: 1 }, { v: null }, { v: 10 }];

  it('puts rows without a value last either way', () => {
    expect(sortBy(rows, (r) => r.v, false).map((r) => r.v)).toEqual([1, 2, 10, NaN, null]);
    expect(sortBy(rows, (r) => r.v, true).map((r) => r.v)).toEqual([10, 2, 1, NaN, null]);
  });

  it('counts numbers inside names as numbers', () => {
    expect(sortBy(['p10', 'p9'], (p) => p, false)).toEqual(['p9', 'p10']);
  });

  it('turns round on the second click and survives the address', () => {
    const columns = ['a', 'b'] as const;
    const first = clickSort({ column: 'a', down: false } as { column: 'a' | 'b'; down: boolean }, 'b');
    expect(first).toEqual({ column: 'b', down: false });
    const second = clickSort(first, 'b');
    expect(readSort(writeSort(second), columns, first)).toEqual({ column: 'b', down: true });
    expect(readSort('nonsense', columns, first)).toEqual(first);
  });

  it('finds every word of a search somewhere', () => {
    expect(matches('heading ch4', ['CH4', 'Heading A'])).toBe(true);
    expect(matches('heading co', ['CH4', 'Heading A'])).toBe(false);
    expect(matches('  ', [])).toBe(true);
  });
});

describe('replay', () => {
  it('reads the address strictly', () => {
    expect(replayFromQuery('1790000000000000', '20')).toEqual({ from_us: 1790000000000000, speed: 20 });
    expect(replayFromQuery('1790000000000000', '0')).toMatchObject({ speed: 0 });
    expect(replayFromQuery('1790000000000000', '-3')).toMatchObject({ speed: 1 });
    for (const t of ['', 'x', '-5', '0']) expect(replayFromQuery(t, '1')).toBeNull();
  });

  it('places times on the bar and widens it to what is shown', () => {
    expect(shareOf(50e6, 100e6, 100)).toBe(0.5);
    expect(shareOf(-1e12, 100e6, 100)).toBe(0);
    expect(spanFor(0, 7200e6, 3600)).toBe(8 * 3600);
    expect(spanFor(7000e6, 7200e6, 3600)).toBe(3600);
  });
});

describe('freshness', () => {
  it('turns stale after three polls, never before a quiet gateway could have sealed', () => {
    expect(staleAfter_s(1)).toBe(15);
    expect(staleAfter_s(60)).toBe(180);
    expect(pointState(0, 16, 1)).toBe('stale');
    expect(pointState(0, 100, 60)).toBe('good');
    expect(pointState(33, 1, 1)).toBe('bad');
    expect(pointState(19, 1, 1)).toBe('uncertain');
    expect(pointState(0, 65535, 1)).toBe('none');
  });
});

describe('the feed', () => {
  const tick = (notices: Partial<Notice>[]): TickMessage => ({ notices: notices.map((n) => ({ kind: '', text: '', factor: 1, until_us: 0, ...n })) }) as unknown as TickMessage;

  it('backs off 1, 2, 5, 10 s and stays there', () => {
    expect([0, 1, 2, 3, 4, 99].map(backoff_s)).toEqual([1, 2, 5, 10, 10, 10]);
  });

  it('takes only messages it knows', () => {
    expect(parseMessage('{"type":"tick"}')).toEqual({ type: 'tick' });
    for (const text of ['', '{', '[]', 'null', '{"type":"other"}', '{"type":5}']) expect(parseMessage(text)).toBeNull();
  });

  it('says how fast a simulated world runs, and shows every other sentence', () => {
    const now = tick([{ kind: 'world', factor: 20, text: 'fast' }, { kind: 'service', text: 'Backup tonight' }]);
    expect(worldFactor(now)).toBe(20);
    expect(otherNotices(now)).toEqual(['Backup tonight']);
    expect(worldFactor(null)).toBe(1);
    expect(worldFactor(tick([{ kind: 'service', factor: 50 }]))).toBe(1);
  });
});
