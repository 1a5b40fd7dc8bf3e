/** The live frame: one little-endian binary message, the same bytes live and in replay (layout: twin_wire/SPEC.md). */

const MAGIC = 0x3146544d; // "MTF1" read as a little-endian u32
const HEADER_BYTES = 24;
const POINT_BYTES = 8 + 2 + 1 + 1;
const PERSON_BYTES = 4 + 4 + 4 + 2 + 2 + 2;

export const AGE_MAX_S = 65535;
const SEVERITY_MASK = 0x07;
const UNACKED_BIT = 0x08;
const RETURNED_BIT = 0x10;

export interface Frame {
  layout: number;
  time_us: number;
  value: Float64Array;
  pointAge_s: Uint16Array;
  quality: Uint8Array;
  alarm: Uint8Array;
  tag: Uint32Array;
  chainage_m: Float32Array;
  sigma_m: Float32Array;
  roadway: Int16Array;
  zone: Int16Array;
  personAge_s: Uint16Array;
}

export class FrameError extends Error {}

/** Lays typed views over the message without copying it; FrameError when the bytes are not exactly one frame. */
export function decodeFrame(data: ArrayBuffer): Frame {
  if (data.byteLength < HEADER_BYTES) throw new FrameError(`frame of ${data.byteLength} bytes`);
  const head = new DataView(data);
  if (head.getUint32(0, true) !== MAGIC) throw new FrameError('not a frame');
  const points = head.getUint32(16, true);
  const people = head.getUint32(20, true);
  const size = HEADER_BYTES + points * POINT_BYTES + people * PERSON_BYTES;
  if (size !== data.byteLength) throw new FrameError(`frame of ${data.byteLength} bytes, ${size} expected`);
  let at = HEADER_BYTES;
  const take = (bytes: number): number => {
    const start = at;
    at += bytes;
    return start;
  };
  return {
    layout: head.getUint32(4, true),
    time_us: Number(head.getBigInt64(8, true)),
    value: new Float64Array(data, take(8 * points), points),
    tag: new Uint32Array(data, take(4 * people), people),
    chainage_m: new Float32Array(data, take(4 * people), people),
    sigma_m: new Float32Array(data, take(4 * people), people),
    roadway: new Int16Array(data, take(2 * people), people),
    zone: new Int16Array(data, take(2 * people), people),
    pointAge_s: new Uint16Array(data, take(2 * points), points),
    personAge_s: new Uint16Array(data, take(2 * people), people),
    quality: new Uint8Array(data, take(points), points),
    alarm: new Uint8Array(data, take(points), points),
  };
}

/** Severity 1 (most urgent) to 4 of an alarm byte, 0 for none. */
export const severityOf = (alarm: number): number => alarm & SEVERITY_MASK;
export const isUnacked = (alarm: number): boolean => (alarm & UNACKED_BIT) !== 0;
export const isReturned = (alarm: number): boolean => (alarm & RETURNED_BIT) !== 0;
