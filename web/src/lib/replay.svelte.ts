/** The time the pages show: live, or a replay that the address bar carries in `t` and `speed`. */
import { replayFromQuery } from './replay';
import { router } from './router.svelte';
import type { Site } from './site.svelte';

const PLAYING_NOTE_MS = 5000; // how often the address follows a running replay

class Replay {
  private site: Site | null = null;
  speed = $state(1);
  private note = 0;

  /** What the address asks for at the start of a page. */
  fromAddress(): { from_us: number; speed: number } | null {
    const asked = replayFromQuery(router.get('t'), router.get('speed'));
    this.speed = asked?.speed ?? 1;
    return asked;
  }

  follow(site: Site | null): void {
    this.site = site;
    clearInterval(this.note);
    if (site) this.note = window.setInterval(() => this.noteTime(), PLAYING_NOTE_MS);
  }

  to(time_us: number): void {
    const from_us = Math.round(time_us);
    if (!this.site) return;
    if (this.site.feed.replaying) this.site.feed.seek(from_us);
    else this.site.setReplay({ from_us, speed: this.speed });
    this.write(from_us);
  }

  toLive(): void {
    if (!this.site?.feed.replaying) return;
    this.site.setReplay(null);
    this.speed = 1;
    router.set({ t: '', speed: '' });
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.site?.feed.setSpeed(speed);
    this.write(this.site?.feed.asOf_us ?? 0);
  }

  private noteTime(): void {
    if (this.site?.feed.replaying && this.speed > 0 && this.site.feed.asOf_us) this.write(this.site.feed.asOf_us);
  }

  private write(time_us: number): void {
    if (time_us > 0) router.set({ t: String(Math.round(time_us)), speed: this.speed === 1 ? '' : String(this.speed) });
  }
}

export const replay = new Replay();
