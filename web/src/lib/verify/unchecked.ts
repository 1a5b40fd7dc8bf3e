/** The verifier of a page without an engine: it checks nothing and says so. */
import { NOT_CHECKED, RECEIVED, type ClaimVerdict, type LogStatus, type Verifier } from './types';

/** Makes a verifier whose every answer is "received, not checked here". */
export function uncheckedVerifier(): Verifier {
  return {
    follow: () => undefined,
    grown: () => undefined,
    stop: () => undefined,
    status: (): LogStatus => NOT_CHECKED,
    subscribe: () => () => undefined,
    check: async (): Promise<ClaimVerdict> => RECEIVED,
    checkSpan: async (): Promise<ClaimVerdict> => RECEIVED,
  };
}
