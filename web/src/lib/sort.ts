/** Column order of the tables: what a header click does, and comparing mixed values; pure. */

export interface SortOrder<Column extends string> {
  column: Column;
  down: boolean;
}

export type SortValue = string | number | null | undefined;

/** The order after a click on a header: the same column turns round, another starts ascending. */
export function clickSort<Column extends string>(order: SortOrder<Column>, column: Column): SortOrder<Column> {
  return { column, down: order.column === column ? !order.down : false };
}

/** "column" or "-column", as the address carries it; an unknown column gives the default. */
export function readSort<Column extends string>(text: string, columns: readonly Column[], otherwise: SortOrder<Column>): SortOrder<Column> {
  const column = columns.find((c) => c === text.replace(/^-/, ''));
  return column ? { column, down: text.startsWith('-') } : otherwise;
}

export const writeSort = <Column extends string>(order: SortOrder<Column>): string => (order.down ? '-' : '') + order.column;

/** A copy sorted by one value per row; rows without a value come last either way, equal rows keep their order. */
export function sortBy<Row>(rows: readonly Row[], value: (row: Row) => SortValue, down: boolean): Row[] {
  const missing = (v: SortValue): boolean => v === null || v === undefined || (typeof v === 'number' && Number.isNaN(v));
  return rows
    .map((row, i) => ({ row, i, v: value(row) }))
    .sort((a, b) => {
      if (missing(a.v) || missing(b.v)) return Number(missing(a.v)) - Number(missing(b.v)) || a.i - b.i;
      const less = typeof a.v === 'number' && typeof b.v === 'number' ? a.v - b.v : String(a.v).localeCompare(String(b.v), 'zh-CN', { numeric: true });
      return (down ? -less : less) || a.i - b.i;
    })
    .map((each) => each.row);
}

/** Does any of the texts contain every word of the search? Case does not matter. */
export function matches(search: string, texts: readonly string[]): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const all = texts.join(' ').toLowerCase();
  return words.every((word) => all.includes(word));
}
