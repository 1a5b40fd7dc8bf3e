/** The one place that chooses the verification engine of the pages. */
import { lazyVerifier } from './lazy';
import type { Verifier } from './types';

export const verifier: Verifier = lazyVerifier(async () => (await import('./engine')).engine());
