/** Labels never cover one another or a mark; dots gather only where they would lie on one another. */
import { describe, expect, it } from 'vitest';
import { clusterDots } from '../src/scene/cluster';
import { placeLabels, type Box, type LabelRequest } from '../src/scene/labels';

const AREA: Box = { x: 0, y: 0, w: 400, h: 300 };
const label = (x: number, y: number, more: Partial<LabelRequest> = {}): LabelRequest => ({
  x,
  y,
  w: 80,
  h: 18,
  gap: 13,
  mode: 'around',
  rank: 10,
  ...more,
});
const cover = (a: Box, b: Box): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe('labels', () => {
  it('of a crowd of anchors never cover each other, a mark, or the edge', () => {
    let seed = 7;
    const next = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
    const requests = Array.from({ length: 14 }, () => label(next() * 400, next() * 300, { rank: Math.floor(next() * 5) }));
    const marks = requests.map((r) => ({ x: r.x - 10, y: r.y - 10, w: 20, h: 20 }));
    const boxes = placeLabels(requests, marks, [], AREA).filter((b) => b !== null);
    expect(boxes.length).toBeGreaterThan(5);
    boxes.forEach((a, i) => {
      expect(a.x >= 0 && a.y >= 0 && a.x + a.w <= 400 && a.y + a.h <= 300).toBe(true);
      for (const b of boxes.slice(i + 1)) expect(cover(a, b)).toBe(false);
      for (const m of marks) expect(cover(a, m)).toBe(false);
    });
  });

  it('give the room to the lower rank', () => {
    const tight: Box = { x: 0, y: 0, w: 100, h: 20 };
    const requests = [label(5, 10, { rank: 50 }), label(6, 10, { rank: 1 })];
    const [low, high] = placeLabels(requests, [], [], tight);
    expect(low).toBeNull();
    expect(high).not.toBeNull();
  });

  it('stay away from roadways where they can, shy ones always', () => {
    const soft: Box[] = [{ x: 110, y: 90, w: 100, h: 20 }];
    const [free] = placeLabels([label(100, 100)], [], soft, AREA);
    expect(cover(free!, soft[0]!)).toBe(false);
    const everywhere: Box[] = [AREA];
    expect(placeLabels([label(100, 100, { shy: true })], [], everywhere, AREA)[0]).toBeNull();
    expect(placeLabels([label(100, 100)], [], everywhere, AREA)[0]).not.toBeNull();
  });

  it('that are forced appear even without room', () => {
    const taken = [AREA];
    expect(placeLabels([label(200, 150, { forced: true })], taken, [], AREA)[0]).not.toBeNull();
    expect(placeLabels([label(200, 150)], taken, [], AREA)[0]).toBeNull();
  });
});

describe('dots', () => {
  const columns = (places: [number, number][]): [Float32Array, Float32Array, Uint8Array] => [
    new Float32Array(places.map((p) => p[0])),
    new Float32Array(places.map((p) => p[1])),
    new Uint8Array(places.length).fill(1),
  ];

  it('gather from four on, at the mean of their places', () => {
    const { single, clusters } = clusterDots(...columns([[1, 1], [3, 1], [1, 3], [3, 3], [200, 200]]));
    expect(single).toEqual([4]);
    expect(clusters).toEqual([{ x: 2, y: 2, members: [0, 1, 2, 3] }]);
  });

  it('all appear once: alone or in a circle; hidden ones not at all', () => {
    const places = Array.from({ length: 500 }, (_, i): [number, number] => [(i * 37) % 300, (i * 91) % 200]);
    const [x, y, shown] = columns(places);
    shown[0] = 0;
    const { single, clusters } = clusterDots(x, y, shown);
    const all = [...single, ...clusters.flatMap((c) => c.members)].sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 499 }, (_, i) => i + 1));
  });
});
