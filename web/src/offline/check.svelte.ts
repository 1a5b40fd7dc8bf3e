/** The state of the page: which file is being checked and what came out; in a worker, or in slices where there is none. */
import Checker from './check.worker?worker&inline';
import type { BundleReport } from '../lib/verify/bundle';
import { work, type Message } from './work';

class Check {
  file = $state.raw<File | null>(null);
  running = $state(false);
  progress = $state.raw<{ done: number; of: number; faults: number } | null>(null);
  report = $state.raw<BundleReport | null>(null);
  problem = $state('');
  took_s = $state(0);
  private worker: Worker | null = null;
  private run = 0;

  /** Checks a file anew, with the verifier key given ('' for none). */
  start(file: File, vkey: string): void {
    this.stop();
    [this.file, this.report, this.problem, this.progress, this.running] = [file, null, '', null, true];
    const run = ++this.run;
    const hear = (message: Message): void => {
      if (run === this.run) this.hear(message);
    };
    const here = (): void => void work({ file, vkey }, hear, () => new Promise((resolve) => setTimeout(resolve)));
    try {
      this.worker = new Checker();
    } catch {
      return here();
    }
    let heard = false;
    this.worker.onmessage = ({ data }: MessageEvent<Message>) => {
      heard = true;
      hear(data);
    };
    this.worker.onerror = (event) => {
      if (run !== this.run) return;
      if (heard) hear({ type: 'failed', text: event.message });
      else here(); // the browser lets no worker begin from a file
    };
    this.worker.postMessage({ file, vkey });
  }

  stop(): void {
    this.run++;
    this.worker?.terminate();
    this.worker = null;
    this.running = false;
  }

  private hear(message: Message): void {
    if (message.type === 'progress') return void (this.progress = message);
    if (message.type === 'report') [this.report, this.took_s] = [message.report, message.took_s];
    else this.problem = message.text;
    this.stop();
  }
}

export const check = new Check();
