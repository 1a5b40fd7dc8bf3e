/** Who is signed in; a 401 from anywhere ends the session and brings the sign-in page. */
import { api, ApiError, useCsrf } from './api';
import type { Me } from './types';

type State = 'asking' | 'in' | 'out' | 'unreachable';

class Session {
  state = $state<State>('asking');
  me = $state.raw<Me | null>(null);

  /** Ask the server who we are; called at start and after a sign-in. */
  async refresh(): Promise<void> {
    try {
      const me = await api.me();
      useCsrf(me.csrf);
      this.me = me;
      this.state = 'in';
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.ended();
      else if (this.state !== 'in') this.state = 'unreachable';
    }
  }

  async signIn(name: string, passphrase: string): Promise<void> {
    await api.login(name, passphrase);
    await this.refresh();
  }

  async signOut(): Promise<void> {
    try {
      await api.logout();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // the cookie may be gone already: leaving is what counts
    }
    this.ended();
  }

  ended(): void {
    this.me = null;
    this.state = 'out';
  }

  /** Tells whether an error was the end of the session, and ends it then. */
  absorb(error: unknown): boolean {
    if (!(error instanceof ApiError) || error.status !== 401) return false;
    this.ended();
    return true;
  }

  /** May this person acknowledge alarms? */
  get operates(): boolean {
    return this.me?.role === 'enterprise';
  }

  /** May this person ask who a tag is? Every look is on record. */
  get seesNames(): boolean {
    return this.me?.role === 'enterprise' || this.me?.role === 'regulator';
  }
}

export const session = new Session();
