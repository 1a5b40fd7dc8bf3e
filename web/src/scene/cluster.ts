/** Gathers dots that would lie on one another into one circle with a number; pure, in CSS pixels. */

export interface Cluster {
  x: number;
  y: number;
  /** Indexes of the dots in it. */
  members: number[];
}

const CELL_PX = 18;
const MEMBERS_MIN = 4; // up to three dots still read as dots

/** Dots left single (their indexes), and clusters at the mean of their dots. */
export function clusterDots(x: Float32Array, y: Float32Array, shown: Uint8Array): { single: number[]; clusters: Cluster[] } {
  const cells = new Map<number, number[]>();
  for (let i = 0; i < x.length; i++) {
    if (!shown[i]) continue;
    const key = Math.floor(x[i]! / CELL_PX) * 65536 + Math.floor(y[i]! / CELL_PX);
    const members = cells.get(key);
    if (members) members.push(i);
    else cells.set(key, [i]);
  }
  const single: number[] = [];
  const clusters: Cluster[] = [];
  for (const members of cells.values()) {
    if (members.length < MEMBERS_MIN) single.push(...members);
    else {
      const mean = (of: Float32Array): number => members.reduce((sum, i) => sum + of[i]!, 0) / members.length;
      clusters.push({ x: mean(x), y: mean(y), members });
    }
  }
  return { single, clusters };
}
