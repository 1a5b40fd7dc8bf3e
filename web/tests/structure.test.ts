/** Places on roadways and heads in zones, computed as twin_wire's graph and the server do. */
import { describe, expect, it } from 'vitest';
import { countHeads, Layout, readStructure, StructureError } from '../src/lib/structure';

const document = {
  version: 1,
  site: 's',
  name: 'Mine',
  junctions: [
    { id: 'a', x_m: 0, y_m: 0, z_m: 0 },
    { id: 'b', x_m: 100, y_m: 0, z_m: 0 },
    { id: 'c', x_m: 100, y_m: 0, z_m: 0 },
  ],
  roadways: [
    { id: 'straight', from: 'a', to: 'b', length_m: 200 },
    { id: 'bent', from: 'a', to: 'b', length_m: 300, path: [[0, 100, 0], [100, 100, 0]] },
    { id: 'dot', from: 'b', to: 'c', length_m: 40 },
  ],
  zones: [
    { id: 'yard', kind: 'surface' },
    { id: 'mine', kind: 'roadway' },
    { id: 'face', kind: 'face', parent: 'mine', headcount_max: 9 },
  ],
  controls: [{ id: 'f', kind: 'local_fan', roadway: 'straight', chainage_m: 50, name: 'Fan' }],
};

describe('a structure', () => {
  const layout = new Layout(readStructure(document));

  it('shares the surveyed length out along the drawn line', () => {
    expect(layout.at(0, 50)).toEqual({ x_m: 25, y_m: 0, z_m: 0 });
    expect(layout.at(1, 150)).toEqual({ x_m: 50, y_m: 100, z_m: 0 });
  });

  it('holds chainage at the ends, and knows a shaft drawn as one dot', () => {
    expect(layout.at(0, -5)).toMatchObject({ x_m: 0 });
    expect(layout.at(0, 999)).toMatchObject({ x_m: 100 });
    expect(layout.at(2, 20)).toMatchObject({ x_m: 100 });
    expect(layout.at(-1, 0)).toBeNull();
  });

  it('places fixtures and forgives what it does not know', () => {
    expect(layout.structure.fixtures[0]).toMatchObject({ kind: 'local_fan', name: 'Fan' });
    expect(layout.place({ roadway: 'nowhere', chainage_m: 1 })).toBeNull();
  });

  it('is refused when a roadway hangs in the air or it is no object', () => {
    expect(() => readStructure({ ...document, junctions: [] })).toThrow(StructureError);
    expect(() => readStructure(null)).toThrow(StructureError);
  });

  it('counts people of an inner zone in the outer, and nobody on the surface as underground', () => {
    const heads = countHeads(layout.structure.zones, ['face', 'face', 'mine', 'yard', '']);
    expect(Object.fromEntries(heads.byZone)).toEqual({ yard: 1, mine: 3, face: 2 });
    expect(heads.underground).toBe(4);
  });

  it('does not hang on zones that lie in one another', () => {
    const zones = [
      { id: 'x', name: '', kind: '', headcount_max: 0, parent: 'y' },
      { id: 'y', name: '', kind: '', headcount_max: 0, parent: 'x' },
    ];
    expect(countHeads(zones, ['x']).underground).toBe(1);
  });
});
