import { it } from 'vitest';
import { runAudit } from '../src/lib/verify/run';
import { TestLog } from './support/log';
it('bench', async () => {
  const log = new TestLog(); log.enrol('gw-1'); log.batches('gw-1', 20000);
  for (const every of [false, true]) { const t = performance.now(); const r = await runAudit(log, { every, bodies: false }, null, () => undefined); console.log(every, r.counts, performance.now() - t); }
}, 200000);
