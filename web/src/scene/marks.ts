/** Shapes of the four priorities and of fixtures in a 20 × 20 box, the same on canvas and in SVG. */

/** Index is the severity; shape, number and colour always go together. */
export const MARK_PATHS: readonly string[] = [
  'M10 6.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 1 1 0-7z',
  'M10 0.8L19.2 10L10 19.2L0.8 10z', // 1 diamond
  'M10 1.2L19.2 18.6H0.8z', // 2 triangle
  'M10 1a9 9 0 1 1 0 18a9 9 0 1 1 0-18z', // 3 circle
  'M10 18.8L19.2 1.4H0.8z', // 4 inverted triangle
];

/** Height of the number's baseline in the box. */
export const MARK_BASELINE: readonly number[] = [0, 14, 16.6, 14, 11.2];

/** A fan: hub and three blades. */
export const FAN_PATH =
  'M10 8.4C10 4 12.5 2 15 3C16.5 6 13.5 8.5 11.4 9.4M11.4 10.8C15 13 15.4 16.2 13.2 17.6C9.8 17.4 9.6 13.4 10 11.6M8.6 10.6C5 12.4 2.2 11.2 1.8 8.6C4 5.8 7.4 7.6 8.8 9.2';

/** An exit: an arrow out of a frame. */
export const EXIT_PATH = 'M8 3H3V17H8M7 10H17M13 6L17 10L13 14';
