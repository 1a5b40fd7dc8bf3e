/** The verification engine's state as the pages' state: the log's status, and verdicts on numbers shown. */
import { verifier } from './index';
import { RECEIVED, type Claim, type ClaimVerdict, type LogStatus } from './types';

class LogCheck {
  status = $state.raw<LogStatus>(verifier.status());

  constructor() {
    verifier.subscribe(() => (this.status = verifier.status()));
  }
}

export const logCheck = new LogCheck();

/** Follows one number on the page: asks the engine about it, and drops answers to claims no longer shown. */
export class ClaimCheck {
  verdict = $state.raw<ClaimVerdict>(RECEIVED);
  private asked = '';
  private busy = false;

  /** The number shown changed; while one claim is being compared, later ones wait for the next call. */
  show(claim: Claim): void {
    const key = `${claim.point}\0${claim.as_of_us}\0${claim.value}\0${claim.quality}`;
    if (this.busy || key === this.asked) return;
    if (claim.point !== this.asked.split('\0')[0]) this.verdict = RECEIVED;
    this.asked = key;
    this.busy = true;
    void verifier.check(claim).then((verdict) => {
      this.busy = false;
      if (this.asked === key) this.verdict = verdict;
    });
  }
}
