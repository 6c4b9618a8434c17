/**
 * For tests: whether an invocation of a WGSL kernel may read what another one has not written yet, or write
 * what another one has still to read, in a tile that the workgroup shares. Told line by line, as kernels are
 * printed here: a statement, the head of a block, or its end. (What reductions share is left out: there each
 * invocation writes where it alone has read.)
 */

/** A statement, or a block under its head. */
type Line = string | { readonly head: string; readonly lines: readonly Line[] };

/** Shared arrays that were touched since the last barrier. */
interface Touched {
  readonly read: Set<string>;
  readonly written: Set<string>;
}

/** The first statement that races; undefined: none does. */
export function raceIn(kernel: string): string | undefined {
  const names = [...kernel.matchAll(/var<workgroup> (shared_\w+):/g)].map(([, name]) => name!);
  const main = kernel.slice(kernel.indexOf('fn main('));
  const lines = main.slice(main.indexOf(') {')).split('\n').slice(1);
  return raceAmong(blockOf(lines.map((line) => line.trim()).values()), names, newlyStarted());
}

function newlyStarted(): Touched {
  return { read: new Set(), written: new Set() };
}

/** Up to the end of the block. */
function blockOf(lines: Iterator<string>): readonly Line[] {
  const block: Line[] = [];
  for (let next = lines.next(); !next.done && next.value !== '}'; next = lines.next())
    block.push(next.value.endsWith('{') ? { head: next.value, lines: blockOf(lines) } : next.value);
  return block;
}

function raceAmong(lines: readonly Line[], names: readonly string[], touched: Touched): string | undefined {
  for (const line of lines) {
    const found =
      typeof line === 'string' ? raceAt(line, names, touched) : raceInBlock(line.lines, names, touched);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Loops follow themselves. Branches may be skipped: what was touched before them counts after them. */
function raceInBlock(lines: readonly Line[], names: readonly string[], touched: Touched): string | undefined {
  const before: Touched = { read: new Set(touched.read), written: new Set(touched.written) };
  const found = raceAmong(lines, names, touched) ?? raceAmong(lines, names, touched);
  for (const name of before.read) touched.read.add(name);
  for (const name of before.written) touched.written.add(name);
  return found;
}

function raceAt(statement: string, names: readonly string[], { read, written }: Touched): string | undefined {
  if (statement === 'workgroupBarrier();') {
    read.clear();
    written.clear();
    return undefined;
  }
  const target = /^(\w+)\[.*\] = /.exec(statement);
  const value = target === null ? statement : statement.slice(target[0].length);
  const reads = names.filter((name) => value.includes(`${name}[`));
  const writes = names.filter((name) => name === target?.[1]);
  if (reads.some((name) => written.has(name)) || writes.some((name) => read.has(name))) return statement;
  for (const name of reads) read.add(name);
  for (const name of writes) written.add(name);
  return undefined;
}
