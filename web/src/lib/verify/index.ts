/** The one place that chooses the verification engine of the pages. */
import type { Verifier } from './types';
import { uncheckedVerifier } from './unchecked';

export const verifier: Verifier = uncheckedVerifier();
