/** The measurements of one case as a line of a table. */

export interface Row {
  readonly case: string;
  readonly milliseconds: number;
  readonly bestMilliseconds: number;
  /** That the process kept cores busy. */
  readonly processorMilliseconds: number;
  readonly gflops: number;
  /** Fractions of the ceilings: of multiply-adds, and of copying the inputs and outputs once. */
  readonly ofPeak: number;
  readonly ofCopy: number;
  readonly dispatches: number;
  /** Bytes of device memory allocated, and as the plan says. */
  readonly memory: number;
  readonly planned: number;
  /** From the reference evaluator. */
  readonly error: number;
  readonly runs: number;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (row: Row) => string;
}

const columns: readonly Column[] = [
  { title: 'case', width: 12, text: (row) => row.case },
  { title: 'ms', width: 9, text: (row) => row.milliseconds.toFixed(2) },
  { title: 'best ms', width: 9, text: (row) => row.bestMilliseconds.toFixed(2) },
  { title: 'cpu ms', width: 9, text: (row) => row.processorMilliseconds.toFixed(2) },
  { title: 'GFLOP/s', width: 9, text: (row) => row.gflops.toFixed(1) },
  { title: 'of peak', width: 8, text: (row) => `${(row.ofPeak * 100).toFixed(0)}%` },
  { title: 'of copy', width: 8, text: (row) => `${(row.ofCopy * 100).toFixed(0)}%` },
  { title: 'launches', width: 9, text: (row) => `${row.dispatches}` },
  { title: 'memory MiB', width: 11, text: (row) => (row.memory / 2 ** 20).toFixed(1) },
  { title: 'planned', width: 8, text: (row) => (row.planned / 2 ** 20).toFixed(1) },
  { title: 'error', width: 8, text: (row) => row.error.toExponential(0) },
  { title: 'runs', width: 5, text: (row) => `${row.runs}` },
];

export function header(): string {
  return columns.map(({ title, width }) => title.padStart(width)).join(' ');
}

export function line(row: Row): string {
  return columns.map(({ text, width }) => text(row).padStart(width)).join(' ');
}
