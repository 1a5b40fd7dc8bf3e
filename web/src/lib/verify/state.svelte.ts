/** The verification engine's state as the pages' state: the log's status, and verdicts on numbers shown. */
import { verifier } from './index';
import { RECEIVED, type Caught, type Claim, type ClaimVerdict, type LogStatus } from './types';

const AGAIN_MS = 3_000; // a number that changes every second is compared every third one

class LogCheck {
  status = $state.raw<LogStatus>(verifier.status());
  caught = $state.raw<readonly Caught[]>(verifier.caught());

  constructor() {
    verifier.subscribe(() => {
      this.status = verifier.status();
      this.caught = verifier.caught();
    });
  }
}

export const logCheck = new LogCheck();

/** Follows one number on the page: asks the engine about it, and drops answers to points no longer shown. */
export class ClaimCheck {
  verdict = $state.raw<ClaimVerdict>(RECEIVED);
  private point = '';
  private busy = false;
  private again_ms = 0;

  /** The number shown changed; while one claim is being compared, later ones wait for the next call. */
  show(claim: Claim): void {
    const now_ms = performance.now();
    if (claim.point !== this.point) {
      this.point = claim.point;
      this.verdict = RECEIVED;
      this.busy = false;
      this.again_ms = 0;
    }
    if (this.busy || now_ms < this.again_ms) return;
    this.busy = true;
    void verifier.check(claim).then((verdict) => {
      if (claim.point !== this.point) return;
      this.busy = false;
      this.again_ms = performance.now() + AGAIN_MS;
      this.verdict = verdict;
    });
  }
}
