/** Which dialog is open over the page: acknowledging, or the help. */
import type { Alarm } from './types';

class Dialogs {
  acknowledging = $state.raw<Alarm[] | null>(null);
  help = $state(false);
}

export const dialogs = new Dialogs();
