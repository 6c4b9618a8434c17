/**
 * Writes the body of a kernel as values: each distinct pure operation is computed once, in the outermost
 * block in which all that it uses is known. What nobody uses is left out when it is rendered; registers are
 * left to ptxas, which has as many as it takes.
 */
import { literal, type Value, type ValueType } from './values.ts';

type Line =
  | { readonly kind: 'comment'; readonly text: string }
  /** Of no effect but its results. */
  | { readonly kind: 'value'; readonly results: readonly string[]; readonly text: string }
  | { readonly kind: 'effect'; readonly text: string }
  | { readonly kind: 'label'; readonly name: string }
  | { readonly kind: 'block'; readonly lines: readonly Line[] };

interface Block {
  readonly lines: Line[];
  /** What is computed in it is not computed before it, whether anybody enters it or not. */
  readonly isApart: boolean;
  readonly known: Map<string, readonly Value[]>;
}

/** The letter of its registers, and how they are declared. */
const registers: { readonly [T in ValueType]: { readonly letter: string; readonly type: string } } = {
  f32: { letter: 'r', type: 'b32' },
  i32: { letter: 'r', type: 'b32' },
  u32: { letter: 'r', type: 'b32' },
  bool: { letter: 'p', type: 'pred' },
  half: { letter: 'h', type: 'b16' },
  address: { letter: 'd', type: 'b64' },
};

/** Of operands and results the texts. */
type Write = (results: readonly string[], operands: readonly string[]) => string;

interface Options {
  /** Keeps it from moving out of the current block. */
  readonly fixed?: boolean;
  /** Tells it from others that are written alike. */
  readonly version?: string;
}

export class Writer {
  private readonly blocks: Block[] = [{ lines: [], known: new Map(), isApart: false }];
  private readonly counts = new Map<string, number>();
  private labels = 0;

  /** The number of blocks around the current place. */
  get depth(): number {
    return this.blocks.length - 1;
  }

  /** `add.s32` of two values, and whatever else has one result in front of its operands. */
  operation(opcode: string, dtype: ValueType, operands: readonly Value[]): Value {
    return this.compute(
      [dtype],
      operands,
      ([result], texts) => `${opcode} ${[result, ...texts].join(', ')};`,
    )[0]!;
  }

  /** The results of an instruction of no effect. */
  compute(
    dtypes: readonly ValueType[],
    operands: readonly Value[],
    write: Write,
    { fixed = false, version = '' }: Options = {},
  ): readonly Value[] {
    const written = write(
      dtypes.map(() => '_'),
      operands.map((operand) => operand.key),
    );
    const key = `${written} ${dtypes} ${version}`;
    for (const block of this.blocks) {
      const known = block.known.get(key);
      if (known !== undefined) return known;
    }
    const isFixed = fixed || operands.some((operand) => operand.mutable);
    const outermost = this.blocks.findLastIndex(({ isApart }) => isApart);
    const least = Math.max(outermost, 0);
    const home = isFixed ? this.depth : operands.reduce((most, { depth }) => Math.max(most, depth), least);
    const values = dtypes.map((dtype) => this.fresh(dtype, home));
    const results = values.map(({ text }) => text);
    const text = write(
      results,
      operands.map((operand) => operand.text),
    );
    const block = this.blocks[home]!;
    block.lines.push({ kind: 'value', results, text });
    block.known.set(key, values);
    return values;
  }

  private fresh(dtype: ValueType, depth: number): Value {
    const { letter } = registers[dtype];
    const number = this.counts.get(letter) ?? 0;
    this.counts.set(letter, number + 1);
    const text = `%${letter}${number}`;
    return { text, key: text, dtype, depth };
  }

  /** A predicate register that has the bool, of which literals have none. */
  predicate(value: Value): Value {
    if (value.known === undefined) return value;
    return this.operation('setp.ne.u32', 'bool', [literal(value.known, 'u32'), literal(0, 'u32')]);
  }

  /** A register that is assigned to. */
  variable(initial: Value): Value {
    const value = this.fresh(initial.dtype, this.depth);
    this.assign(value, initial);
    return { ...value, mutable: true };
  }

  assign(variable: Value, value: Value): void {
    const of = value.dtype === 'bool' ? this.predicate(value) : value;
    this.effect(`mov.${registers[variable.dtype].type} ${variable.text}, ${of.text};`);
  }

  /** An instruction for its effect, where the guard holds. */
  effect(text: string, guard?: Value): void {
    if (guard?.known === 0) return;
    const isAlways = guard === undefined || guard.known !== undefined;
    this.push({ kind: 'effect', text: isAlways ? text : `@${guard.text} ${text}` });
  }

  comment(text: string): void {
    this.push({ kind: 'comment', text });
  }

  private push(line: Line): void {
    this.blocks.at(-1)!.lines.push(line);
  }

  private inner(isApart: boolean, body: () => void): void {
    const block: Block = { lines: [], known: new Map(), isApart };
    this.blocks.push(block);
    body();
    this.blocks.pop();
    this.push({ kind: 'block', lines: block.lines });
  }

  /**
   * i32 `from`, from + step, … while below `to`. What is taken out of it is computed before it is decided
   * whether it has a turn: others know it too.
   */
  loop(from: Value, to: Value, step: number, body: (counter: Value) => void): void {
    const [start, end] = [`$loop${this.labels}`, `$end${this.labels++}`];
    this.inner(false, () => {
      const counter = this.fresh('i32', this.depth);
      const more = this.fresh('bool', this.depth);
      this.effect(`mov.b32 ${counter.text}, ${from.text};`);
      this.effect(`setp.ge.s32 ${more.text}, ${counter.text}, ${to.text};`);
      this.effect(`bra.uni ${end};`, more);
      this.push({ kind: 'label', name: start });
      body(counter);
      this.effect(`add.s32 ${counter.text}, ${counter.text}, ${step};`);
      this.effect(`setp.lt.s32 ${more.text}, ${counter.text}, ${to.text};`);
      this.effect(`bra.uni ${start};`, more);
      this.push({ kind: 'label', name: end });
    });
  }

  /** Runs an instruction until the predicate that it writes holds. */
  until(write: (predicate: string) => string): void {
    const start = `$again${this.labels++}`;
    const done = this.fresh('bool', this.depth);
    this.push({ kind: 'label', name: start });
    this.effect(write(done.text));
    this.effect(`@!${done.text} bra ${start};`);
  }

  /** @param isUniform whether the condition is the same in all lanes of a warp */
  when(condition: Value, isUniform: boolean, body: () => void): void {
    this.branch(condition, isUniform, false, body);
  }

  /** The same, of a uniform condition, for a body that computes what it needs by itself. */
  whenApart(condition: Value, body: () => void): void {
    this.branch(condition, true, true, body);
  }

  private branch(condition: Value, isUniform: boolean, isApart: boolean, body: () => void): void {
    if (condition.known === 0) return;
    if (condition.known !== undefined) {
      body();
      return;
    }
    const end = `$end${this.labels++}`;
    this.inner(isApart, () => {
      this.effect(`@!${condition.text} bra${isUniform ? '.uni' : ''} ${end};`);
      body();
      this.push({ kind: 'label', name: end });
    });
  }

  /** The declarations of registers, and the body. */
  render(): string {
    const needed = neededLines(this.blocks[0]!.lines);
    const declared = [...this.counts].map(([letter, count]) => {
      const { type } = Object.values(registers).find((each) => each.letter === letter)!;
      return `  .reg .${type} %${letter}<${count}>;`;
    });
    return [...declared, '', ...textsOf(this.blocks[0]!.lines, '  ', needed)].join('\n');
  }
}

/** Of every arithmetic type. */
export const wordBytes = 4;

const registerName = /%[a-z]+\d+/g;

/** Those that have an effect, or whose results one of these uses. Nothing is used before it is written. */
function neededLines(lines: readonly Line[]): ReadonlySet<Line> {
  const all: Line[] = [];
  const flatten = (of: readonly Line[]): void => {
    for (const line of of)
      if (line.kind === 'block') flatten(line.lines);
      else all.push(line);
  };
  flatten(lines);
  const used = new Set<string>();
  const needed = new Set<Line>();
  for (const line of all.reverse()) {
    if (line.kind !== 'value' && line.kind !== 'effect') continue;
    if (line.kind === 'value' && !line.results.some((result) => used.has(result))) continue;
    needed.add(line);
    for (const [name] of line.text.matchAll(registerName)) used.add(name);
  }
  return needed;
}

function textsOf(lines: readonly Line[], indent: string, needed: ReadonlySet<Line>): string[] {
  return lines.flatMap((line): string[] => {
    switch (line.kind) {
      case 'comment':
        return [`${indent}// ${line.text}`];
      case 'label':
        return [`${line.name}:`];
      case 'block':
        return textsOf(line.lines, `${indent}  `, needed);
      default:
        return needed.has(line) ? [`${indent}${line.text}`] : [];
    }
  });
}
