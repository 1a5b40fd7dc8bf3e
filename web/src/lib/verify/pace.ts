/** Lets through one caller per span of time, in order of asking: however much a page shows, the server is asked slowly. */
export class Pace {
  private free_ms = 0;

  constructor(private readonly every_ms: number) {}

  /** Resolves when it is the caller's turn. */
  turn(now_ms = performance.now()): Promise<void> {
    const at_ms = Math.max(now_ms, this.free_ms);
    this.free_ms = at_ms + this.every_ms;
    return at_ms === now_ms ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, at_ms - now_ms));
  }
}
