/** The browser's clock as state, once a second. */
class Clock {
  now_us = $state(Date.now() * 1000);

  constructor() {
    setInterval(() => (this.now_us = Date.now() * 1000), 1000);
  }
}

export const clock = new Clock();
