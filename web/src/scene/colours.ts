/** The theme's colours as the drawing code needs them, read from the style sheet so that they stand in one place. */

export interface Colours {
  bg: string;
  panel: string;
  line: string;
  edge: string;
  fg: string;
  muted: string;
  roadway: string;
  person: string;
  focus: string;
  trace: string;
  band: string;
  nodata: string;
  markEdge: string;
  /** Index is the severity, 0 unused. */
  fill: string[];
  text: string[];
}

/** Reads the tokens in force on the page. */
export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const get = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    bg: get('bg'),
    panel: get('panel'),
    line: get('line'),
    edge: get('edge'),
    fg: get('fg'),
    muted: get('muted'),
    roadway: get('roadway'),
    person: get('person'),
    focus: get('focus'),
    trace: get('trace'),
    band: get('band'),
    nodata: get('nodata'),
    markEdge: get('mark-edge'),
    fill: ['', get('p1'), get('p2'), get('p3'), get('p4')],
    text: ['', get('p1-text'), get('p2-text'), get('p3-text'), get('p4-text')],
  };
}

/** The type of canvas text, of the size given. */
export const font = (px: number, weight = 400): string =>
  `${weight} ${px}px "Noto Sans SC","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",system-ui,sans-serif`;
