/** The audit away from the page: one message starts it, progress comes back, then a report or why there is none. */
import { Crew } from './digests';
import { NoAnswer, RemoteLog } from './log';
import type { Options, Progress, Report } from './findings';
import { runAudit, type Before } from './run';

const TELL_MS = 100;
const HASHERS_MAX = 3;

export interface Start {
  enterprise: string;
  options: Options;
  before: Before | null;
}

export type Message = { type: 'progress'; progress: Progress } | { type: 'report'; report: Report } | { type: 'failed'; status: number; text: string };

const say = (message: Message): void => postMessage(message);

/** The page ends an audit by ending the worker. */
onmessage = async ({ data }: MessageEvent<Start>): Promise<void> => {
  let told_ms = 0;
  const hashers = Math.min(HASHERS_MAX, navigator.hardwareConcurrency || 1);
  const crew = new Crew(() => new Worker(new URL('./digests.worker.ts', import.meta.url), { type: 'module' }), hashers);
  try {
    const report = await runAudit(new RemoteLog(data.enterprise, 'reload'), data.options, data.before, (progress) => {
      const now_ms = performance.now();
      if (now_ms - told_ms < TELL_MS && progress.done < progress.of) return;
      told_ms = now_ms;
      say({ type: 'progress', progress });
    }, crew.digest);
    say({ type: 'report', report });
  } catch (error) {
    say({ type: 'failed', status: error instanceof NoAnswer ? error.status : -1, text: error instanceof Error ? error.message : String(error) });
  } finally {
    crew.end();
  }
};
