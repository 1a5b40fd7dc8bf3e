/** One live or replay socket of one enterprise: keeps it open, decodes frames, and says honestly when it is not. */
import { socketUrl } from './api';
import { decodeFrame, FrameError, type Frame } from './frame';
import { backoff_s, parseMessage } from './messages';
import type { Alarm, LayoutMessage, TickMessage } from './types';

const SILENCE_MS = 2500; // a tick comes every second: after this the connection counts as lost
const WATCH_MS = 500;
const BEAT_MS = 250; // page text changes at most four times a second, whatever the feed does
const CONNECT_MS = 8000;

export interface Replay {
  from_us: number;
  speed: number;
}

interface Listener {
  frame?: (frame: Frame) => void;
  alarm?: (alarm: Alarm) => void;
  /** The socket is open again after it was not. */
  opened?: () => void;
  /** A connection attempt failed; the session may have ended. */
  refused?: () => void;
}

export class Feed {
  layout = $state.raw<LayoutMessage | null>(null);
  tick = $state.raw<TickMessage | null>(null);
  online = $state(false);
  /** False until the first connection: a page that is loading is not offline. */
  settled = $state(false);
  framesBad = $state(0);
  /** Browser time of the last message, ms. */
  heard_ms = $state(0);
  private beat = $state(0);
  private tickHeard_ms = 0;

  private last: Frame | null = null;
  private indexes = new Map<string, number>();
  private socket: WebSocket | null = null;
  private attempt = 0;
  private retry = 0;
  private watch = 0;
  private beatTimer = 0;
  private openedAt_ms = 0;
  private listeners = new Set<Listener>();

  constructor(
    readonly enterprise: string,
    private replay: Replay | null,
  ) {}

  get replaying(): boolean {
    return this.replay !== null;
  }

  /** The newest frame; reading it in a component ties the component to the page's beat. */
  get frame(): Frame | null {
    void this.beat;
    return this.last;
  }

  /** Time of what is shown, µs; before the first frame where a replay begins, live 0. */
  get asOf_us(): number {
    return this.frame?.time_us ?? this.tick?.as_of_us ?? this.replay?.from_us ?? 0;
  }

  /** The server's clock as this page knows it, µs, running on while nothing is heard; the browser's before a tick. */
  serverNow_us(): number {
    const { tick } = this;
    return tick ? tick.server_time_us + (performance.now() - this.tickHeard_ms) * 1000 : Date.now() * 1000;
  }

  /** Index of a point in the frame's columns, -1 when it is not there. */
  pointIndex(id: string): number {
    void this.layout;
    return this.indexes.get(id) ?? -1;
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.last) listener.frame?.(this.last);
    return () => void this.listeners.delete(listener);
  }

  start(): void {
    this.connect();
    this.watch = window.setInterval(() => this.checkSilence(), WATCH_MS);
  }

  stop(): void {
    clearInterval(this.watch);
    clearTimeout(this.retry);
    clearTimeout(this.beatTimer);
    this.drop();
    this.listeners.clear();
  }

  /** Replay only: jump to a time. */
  seek(time_us: number): void {
    if (!this.replay) return;
    this.replay = { ...this.replay, from_us: time_us };
    this.say({ type: 'seek', time_us });
  }

  /** Replay only: seconds shown per second; 0 stands still. */
  setSpeed(speed: number): void {
    if (!this.replay) return;
    this.replay = { ...this.replay, speed };
    this.say({ type: 'speed', speed });
  }

  private say(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private connect(): void {
    const resume = this.replay && this.last ? { ...this.replay, from_us: this.last.time_us } : this.replay;
    const socket = new WebSocket(socketUrl(this.enterprise, resume));
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    this.openedAt_ms = performance.now();
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.receive(event.data);
    socket.onclose = () => this.lost(socket);
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private lost(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.socket = null;
    this.settled = true;
    this.online = false;
    for (const listener of this.listeners) listener.refused?.();
    this.retry = window.setTimeout(() => this.connect(), backoff_s(this.attempt) * 1000);
    this.attempt += 1;
  }

  private checkSilence(): void {
    const socket = this.socket;
    if (!socket) return;
    const now = performance.now();
    const limit = socket.readyState === WebSocket.OPEN ? SILENCE_MS : CONNECT_MS;
    if (now - Math.max(this.heard_ms, this.openedAt_ms) <= limit) return;
    this.drop();
    this.socket = socket; // so that lost() takes it for the present one
    this.lost(socket);
  }

  private receive(data: string | ArrayBuffer): void {
    this.heard_ms = performance.now();
    if (!this.online) {
      const again = this.settled;
      this.online = true;
      this.settled = true;
      this.attempt = 0;
      if (again) for (const listener of this.listeners) listener.opened?.();
    }
    if (typeof data === 'string') this.receiveText(data);
    else this.receiveFrame(data);
  }

  private receiveText(text: string): void {
    const message = parseMessage(text);
    if (message?.type === 'layout') {
      this.layout = message;
      this.indexes = new Map(message.points.map((id, i) => [id, i]));
    } else if (message?.type === 'tick') {
      this.tick = message;
      this.tickHeard_ms = performance.now();
    } else if (message?.type === 'alarm') for (const listener of this.listeners) listener.alarm?.(message.alarm);
  }

  private receiveFrame(data: ArrayBuffer): void {
    let frame: Frame;
    try {
      frame = decodeFrame(data);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.framesBad += 1;
      return;
    }
    if (frame.layout !== this.layout?.layout) return; // the layout that names its columns comes first
    this.last = frame;
    for (const listener of this.listeners) listener.frame?.(frame);
    if (!this.beatTimer) {
      this.beatTimer = window.setTimeout(() => {
        this.beatTimer = 0;
        this.beat += 1;
      }, BEAT_MS);
    }
  }
}
