/** Hashes bundle after bundle for the audit. */
import { digestsOf, type Task } from './digests';

onmessage = ({ data }: MessageEvent<Task>): void => {
  const found = digestsOf(data.raws, data.full);
  postMessage(found, { transfer: [...found.rows, found.own].map((each) => each.buffer) });
};
