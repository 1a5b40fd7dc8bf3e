/** The one place that chooses the verification engine of the pages. */
import { engine } from './engine';
import type { Verifier } from './types';

export const verifier: Verifier = engine();
