/** One short sound per urgent priority, off until the viewer switches it on; made here, no file. */

const TONES: Record<number, { hz: number; beats: number }> = { 1: { hz: 880, beats: 3 }, 2: { hz: 660, beats: 2 } };
const BEAT_S = 0.18;
const LOUDNESS = 0.12;

let context: AudioContext | null = null;

/** Browsers allow sound only after a click: call this in the click that switches it on. */
export function allowSound(): void {
  context ??= new AudioContext();
  void context.resume();
}

/** Sounds a new alarm of that severity; severities 3 and 4 are silent. */
export function soundAlarm(severity: number): void {
  const tone = TONES[severity];
  if (!tone || !context || context.state !== 'running') return;
  for (let beat = 0; beat < tone.beats; beat++) {
    const start = context.currentTime + beat * BEAT_S * 2;
    const gain = new GainNode(context, { gain: LOUDNESS });
    const wave = new OscillatorNode(context, { frequency: tone.hz });
    wave.connect(gain).connect(context.destination);
    wave.start(start);
    wave.stop(start + BEAT_S);
  }
}
