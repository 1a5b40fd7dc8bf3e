/** The live frame is read to the byte, and nothing else is taken for one. */
import { describe, expect, it } from 'vitest';
import { decodeFrame, FrameError, isReturned, isUnacked, severityOf } from '../src/lib/frame';

/** Lays a frame out by the table of the contract, independently of the decoder. */
function frameBytes(points: number, people: number): ArrayBuffer {
  const data = new ArrayBuffer(24 + points * 12 + people * 18);
  const view = new DataView(data);
  new Uint8Array(data).set([0x4d, 0x54, 0x46, 0x31]);
  view.setUint32(4, 77, true);
  view.setBigInt64(8, 1_790_000_000_123_456n, true);
  view.setUint32(16, points, true);
  view.setUint32(20, people, true);
  let at = 24;
  for (let i = 0; i < points; i++, at += 8) view.setFloat64(at, i === 1 ? NaN : i + 0.25, true);
  for (let i = 0; i < people; i++, at += 4) view.setUint32(at, 10 + i, true);
  for (let i = 0; i < people; i++, at += 4) view.setFloat32(at, 100 + i, true);
  for (let i = 0; i < people; i++, at += 4) view.setFloat32(at, 1.5, true);
  for (let i = 0; i < people; i++, at += 2) view.setInt16(at, i - 1, true);
  for (let i = 0; i < people; i++, at += 2) view.setInt16(at, -1, true);
  for (let i = 0; i < points; i++, at += 2) view.setUint16(at, i, true);
  for (let i = 0; i < people; i++, at += 2) view.setUint16(at, 65535, true);
  for (let i = 0; i < points; i++, at += 1) view.setUint8(at, 33);
  for (let i = 0; i < points; i++, at += 1) view.setUint8(at, 0b1_1010);
  return data;
}

describe('a frame', () => {
  it('gives back every column, odd counts included', () => {
    const frame = decodeFrame(frameBytes(3, 5));
    expect(frame.layout).toBe(77);
    expect(frame.time_us).toBe(1_790_000_000_123_456);
    expect([...frame.value]).toEqual([0.25, NaN, 2.25]);
    expect([...frame.tag]).toEqual([10, 11, 12, 13, 14]);
    expect([...frame.chainage_m]).toEqual([100, 101, 102, 103, 104]);
    expect([...frame.roadway]).toEqual([-1, 0, 1, 2, 3]);
    expect([...frame.zone]).toEqual([-1, -1, -1, -1, -1]);
    expect([...frame.pointAge_s]).toEqual([0, 1, 2]);
    expect([...frame.personAge_s]).toEqual(Array(5).fill(65535));
    expect([...frame.quality]).toEqual([33, 33, 33]);
    expect(severityOf(frame.alarm[0]!)).toBe(2);
    expect(isUnacked(frame.alarm[0]!)).toBe(true);
    expect(isReturned(frame.alarm[0]!)).toBe(true);
  });

  it('may hold nothing', () => expect(decodeFrame(frameBytes(0, 0)).value).toHaveLength(0));

  it('is refused when a byte is missing or too many', () => {
    const good = frameBytes(3, 5);
    for (const size of [0, 10, good.byteLength - 1]) expect(() => decodeFrame(good.slice(0, size))).toThrow(FrameError);
    const long = new Uint8Array(good.byteLength + 1);
    long.set(new Uint8Array(good));
    expect(() => decodeFrame(long.buffer)).toThrow(FrameError);
  });

  it('is refused under another name, or when it claims more than it holds', () => {
    const other = frameBytes(1, 0);
    new Uint8Array(other)[3] = 0x32;
    expect(() => decodeFrame(other)).toThrow(FrameError);
    const boast = frameBytes(1, 0);
    new DataView(boast).setUint32(16, 0xffffffff, true);
    expect(() => decodeFrame(boast)).toThrow(FrameError);
  });
});
