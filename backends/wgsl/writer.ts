/**
 * Writes the body of a WGSL function as values: each distinct pure expression is computed once, in the
 * outermost block in which all that it uses is known. (Drivers, software ones above all, do little of this
 * themselves.)
 */
import type { Arithmetic } from '../../compiler/graph/graph.ts';

/** A scalar, or four of them. */
export interface Value {
  /** WGSL for it: a name or a literal. */
  readonly text: string;
  /** Equal keys mean equal values: the text, with its version where it is a variable. */
  readonly key: string;
  readonly dtype: Arithmetic;
  readonly width: 1 | 4;
  /** The block, counted from 0 for the function, in which it is known. */
  readonly depth: number;
  /** A variable as it is now: what is computed from it stays where it is. */
  readonly mutable?: true;
}

type Line =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'let'; readonly name: string; readonly text: string; readonly inline: boolean }
  | { readonly kind: 'block'; readonly head: string; readonly lines: readonly Line[] };

interface Block {
  readonly lines: Line[];
  readonly known: Map<string, Value>;
}

export interface Writer {
  /** The number of blocks around the current place. */
  readonly depth: () => number;
  /** The value of an operation on values; `fixed` keeps it from moving out of the current block. */
  readonly compute: (
    dtype: Arithmetic,
    width: 1 | 4,
    operands: readonly Value[],
    write: (texts: readonly string[]) => string,
    options?: { readonly fixed?: boolean },
  ) => Value;
  readonly statement: (text: string) => void;
  readonly block: (head: string, body: () => void) => void;
  readonly render: () => string;
}

export function createWriter(): Writer {
  const blocks: Block[] = [{ lines: [], known: new Map() }];
  let names = 0;
  const depth = () => blocks.length - 1;

  return {
    depth,
    compute(dtype, width, operands, write, options = {}) {
      const key = write(operands.map((operand) => operand.key));
      for (const block of blocks) {
        const known = block.known.get(key);
        if (known !== undefined) return known;
      }
      const fixed = options.fixed || operands.some((operand) => operand.mutable);
      const home = fixed ? depth() : operands.reduce((most, operand) => Math.max(most, operand.depth), 0);
      const name = `v${names++}`;
      const text = write(operands.map((operand) => operand.text));
      const value: Value = { text: name, key: name, dtype, width, depth: home };
      const block = blocks[home]!;
      block.lines.push({ kind: 'let', name, text, inline: !fixed });
      block.known.set(key, value);
      return value;
    },
    statement(text) {
      blocks.at(-1)!.lines.push({ kind: 'text', text });
    },
    block(head, body) {
      const block: Block = { lines: [], known: new Map() };
      blocks.push(block);
      body();
      blocks.pop();
      blocks.at(-1)!.lines.push({ kind: 'block', head, lines: block.lines });
    },
    render() {
      const lines = blocks[0]!.lines;
      const uses = new Map<string, number>();
      countUses(lines, uses);
      return renderBlock(lines, '  ', uses, new Map()).join('\n');
    },
  };
}

const nameOfValue = /\bv\d+\b/g;

/** A use in an inner block counts twice: writing the expression there would move it into a loop. */
function countUses(lines: readonly Line[], uses: Map<string, number>): void {
  const home = new Map<string, number>();
  const visit = (inner: readonly Line[], at: number): void => {
    for (const line of inner) {
      const text = line.kind === 'block' ? line.head : line.text;
      for (const [name] of text.matchAll(nameOfValue))
        uses.set(name, (uses.get(name) ?? 0) + (home.get(name) === at ? 1 : 2));
      if (line.kind === 'let') home.set(line.name, at);
      if (line.kind === 'block') visit(line.lines, at + 1);
    }
  };
  visit(lines, 0);
}

/** Longer expressions keep their names. */
const longestInline = 60;

function renderBlock(
  lines: readonly Line[],
  indent: string,
  uses: ReadonlyMap<string, number>,
  inlined: Map<string, string>,
): string[] {
  return lines.flatMap((line) => renderLine(line, indent, uses, inlined));
}

function renderLine(
  line: Line,
  indent: string,
  uses: ReadonlyMap<string, number>,
  inlined: Map<string, string>,
): string[] {
  const fill = (text: string) => text.replace(nameOfValue, (name) => inlined.get(name) ?? name);
  switch (line.kind) {
    case 'text':
      return [`${indent}${fill(line.text)}`];
    case 'block': {
      const inner = renderBlock(line.lines, `${indent}  `, uses, inlined);
      return [`${indent}${fill(line.head)} {`, ...inner, `${indent}}`];
    }
    case 'let': {
      const text = fill(line.text);
      const count = uses.get(line.name) ?? 0;
      if (count === 0) return [];
      if (!line.inline || count > 1 || text.length > longestInline)
        return [`${indent}let ${line.name} = ${text};`];
      inlined.set(line.name, isSingleTerm(text) ? text : `(${text})`);
      return [];
    }
  }
}

/** Whether `text` needs no parentheses around it: a name, or one call or subscript. */
function isSingleTerm(text: string): boolean {
  return /^[\w.]+(\(.*\)|\[.*\])?$/.test(text) && balanced(text);
}

/** Whether `text` is one call or subscript, rather than several side by side. */
function balanced(text: string): boolean {
  let open = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if ('(['.includes(character)) open++;
    if (')]'.includes(character) && --open === 0 && at < text.length - 1) return false;
  }
  return true;
}
