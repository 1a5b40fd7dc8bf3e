/** Numbers, spans and names as people read them. */
import { describe, expect, it } from 'vitest';
import { dateTimeText, inputTime, localName, parseInputTime, shareText, shortSpan, spanText, timeText, unitText, valueText } from '../src/lib/format';

describe('format', () => {
  it('keeps the declared resolution and never invents a number', () => {
    expect(valueText(1.2, 2)).toBe('1.20');
    expect(valueText(209, 0)).toBe('209');
    for (const none of [NaN, null, undefined, Infinity]) expect(valueText(none, 2)).toBe('–');
  });

  it('gives spans in their two leading units', () => {
    expect(spanText(0, 'en')).toBe('0 s');
    expect(spanText(0.64, 'en')).toBe('640 ms');
    expect(spanText(59.6, 'en')).toBe('1 min 00 s');
    expect(spanText(3725, 'en')).toBe('1 h 02 min');
    expect(spanText(200_000, 'zh')).toBe('2 天 7 小时');
    expect(spanText(NaN, 'en')).toBe('–');
    expect(shortSpan(600, 'en')).toBe('10 min');
    expect(shortSpan(604_800, 'zh')).toBe('7 天');
  });

  it('never rounds an incomplete share up to all of it', () => {
    expect(shareText(0.99999)).toBe('99.9 %');
    expect(shareText(1)).toBe('100.0 %');
    expect(shareText(null)).toBe('–');
  });

  it('prints times that can be typed back in', () => {
    const us = 1_790_000_001_000_000;
    expect(parseInputTime(inputTime(us))).toBe(us);
    expect(dateTimeText(us)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    expect(timeText(0)).toBe('–');
  });

  it('prints units as they stand on an instrument', () => {
    expect(unitText('Cel')).toBe('°C');
    expect(unitText('1')).toBe('');
    expect(unitText('ppm')).toBe('ppm');
  });

  it('takes the half of a two-language name that the reader reads, any other name whole', () => {
    expect(localName('Heading A 掘进工作面A', 'en')).toBe('Heading A');
    expect(localName('Heading A 掘进工作面A', 'zh')).toBe('掘进工作面A');
    expect(localName('1101 longwall face 1101综采工作面', 'zh')).toBe('1101综采工作面');
    expect(localName('掘进工作面', 'en')).toBe('掘进工作面');
    expect(localName('Fan 2', 'zh')).toBe('Fan 2');
  });
});
