/**
 * Writes the body of a function as values: each distinct pure expression is computed once, in the outermost
 * block in which all that it uses is known.
 */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import { type Expression, type Statement, typeOf } from './code.ts';
import { type InstructionName, instructions, type ValueType } from './instructions.ts';

/** A scalar, or four of them. Bools are 0 and 1; four are masks, all bits of a lane or none. */
export interface Value {
  /** Equal keys mean equal values. */
  readonly key: string;
  readonly dtype: Arithmetic;
  readonly width: 1 | 4;
  /** The block, counted from 0 for the function, in which it is known. */
  readonly depth: number;
  /** A variable as it is now: what is computed from it stays where it is. */
  readonly mutable?: true;
  /** A constant or a local. */
  readonly code: Expression;
  /** How it was computed, where it may be computed otherwise as well. */
  readonly source?: Source;
}

interface Source {
  readonly name: InstructionName;
  readonly operands: readonly Value[];
  readonly offset: number;
  readonly fixed: boolean;
}

export interface Immediates {
  readonly lane?: number;
  readonly offset?: number;
  /** Stays in the current block: it reads what changes. Only values with equal versions are equal. */
  readonly version?: string;
}

type Line =
  | { readonly kind: 'let'; readonly local: number; readonly value: Expression; readonly inline: boolean }
  | { readonly kind: 'set'; readonly local: number; readonly value: Expression }
  | { readonly kind: 'do'; readonly expression: Expression }
  | { readonly kind: 'if'; readonly condition: Expression; readonly lines: readonly Line[] }
  | {
      readonly kind: 'loop';
      readonly local: number;
      readonly from: Expression;
      readonly to: Expression;
      readonly step: number;
      readonly lines: readonly Line[];
    };

interface Block {
  readonly lines: Line[];
  readonly known: Map<string, Value>;
}

export interface Rendered {
  readonly locals: readonly ValueType[];
  readonly body: readonly Statement[];
  readonly result: Expression | undefined;
}

export class Writer {
  private readonly blocks: Block[] = [{ lines: [], known: new Map() }];
  private readonly types: ValueType[];
  private readonly parameters: number;

  constructor(parameters: readonly ValueType[]) {
    this.types = [...parameters];
    this.parameters = parameters.length;
  }

  /** The number of blocks around the current place. */
  depth(): number {
    return this.blocks.length - 1;
  }

  parameter(number: number, dtype: Arithmetic): Value {
    const type = this.types[number]!;
    const code = { kind: 'local', local: number, type } as const;
    return { key: `p${number}`, dtype, width: type === 'v128' ? 4 : 1, depth: 0, code };
  }

  instruction(
    name: InstructionName,
    dtype: Arithmetic,
    operands: readonly Value[],
    immediates: Immediates = {},
  ): Value {
    const { lane, offset = 0, version } = immediates;
    const code: Expression = {
      kind: 'instruction',
      name,
      operands: operands.map((operand) => operand.code),
      ...(lane === undefined ? {} : { lane }),
      ...(offset === 0 ? {} : { offset }),
    };
    const tag = `${name},${lane ?? ''},${offset},${version ?? ''}`;
    const found = this.compute(tag, dtype, operands, code, version !== undefined);
    const { immediate } = instructions[name];
    const fixed = version !== undefined;
    return immediate === 'memory' ? { ...found, source: { name, operands, offset, fixed } } : found;
  }

  shuffle(left: Value, right: Value, lanes: readonly [number, number, number, number]): Value {
    const code: Expression = { kind: 'shuffle', lanes, operands: [left.code, right.code] };
    return this.compute(`shuffle,${lanes}`, left.dtype, [left, right], code, false);
  }

  call(callee: string, dtype: Arithmetic, type: ValueType, operands: readonly Value[]): Value {
    const code: Expression = { kind: 'call', callee, type, operands: operands.map((each) => each.code) };
    return this.compute(`call ${callee}`, dtype, operands, code, false);
  }

  private compute(
    tag: string,
    dtype: Arithmetic,
    operands: readonly Value[],
    code: Expression,
    fixed: boolean,
  ): Value {
    const key = `${tag}(${operands.map((operand) => operand.key).join()})`;
    for (const block of this.blocks) {
      const known = block.known.get(key);
      if (known !== undefined) return { ...known, dtype };
    }
    const stays = fixed || operands.some((operand) => operand.mutable);
    const home = stays ? this.depth() : operands.reduce((most, operand) => Math.max(most, operand.depth), 0);
    const type = typeOf(code);
    const local = this.local(type);
    const width = type === 'v128' ? 4 : 1;
    const value: Value = {
      ...{ key: `v${local}`, dtype, width, depth: home },
      code: { kind: 'local', local, type },
    };
    const block = this.blocks[home]!;
    block.lines.push({ kind: 'let', local, value: code, inline: !stays });
    block.known.set(key, value);
    return value;
  }

  /** The first byte of the memory that the thread has to itself. */
  scratch(): Value {
    return this.compute('scratch', 'i32', [], { kind: 'scratch' }, false);
  }

  /** A variable: its value is to be asked for anew with each version. */
  variable(type: ValueType): number {
    return this.local(type);
  }

  current(local: number, dtype: Arithmetic, version: number): Value {
    const type = this.types[local]!;
    const code = { kind: 'local', local, type } as const;
    const width = type === 'v128' ? 4 : 1;
    return { key: `m${local}@${version}`, dtype, width, depth: this.depth(), mutable: true, code };
  }

  /** Of a variable that is not set again in this block. */
  settled(local: number, dtype: Arithmetic): Value {
    const { mutable: _, ...value } = this.current(local, dtype, 0);
    return { ...value, key: `s${local}` };
  }

  /** What is computed from it is computed in this block, not where it would be known already. */
  held(value: Value): Value {
    const depth = this.depth();
    return { ...value, key: `${value.key}^${depth}`, depth };
  }

  set(local: number, value: Value): void {
    this.lines().push({ kind: 'set', local, value: value.code });
  }

  do(name: InstructionName, operands: readonly Value[], immediates: Immediates = {}): void {
    const { lane, offset = 0 } = immediates;
    this.lines().push({
      kind: 'do',
      expression: {
        kind: 'instruction',
        name,
        operands: operands.map((operand) => operand.code),
        ...(lane === undefined ? {} : { lane }),
        ...(offset === 0 ? {} : { offset }),
      },
    });
  }

  if(condition: Value, body: () => void): void {
    const lines = this.inBlock(body);
    this.lines().push({ kind: 'if', condition: condition.code, lines });
  }

  /** @param body is given the loop's variable */
  loop(from: Value, to: Value, step: number, body: (variable: Value) => void): void {
    const local = this.local('i32');
    const lines = this.inBlock(() =>
      body({
        ...{ key: `i${local}`, dtype: 'i32', width: 1, depth: this.depth() },
        code: { kind: 'local', local, type: 'i32' },
      }),
    );
    this.lines().push({ kind: 'loop', local, from: from.code, to: to.code, step, lines });
  }

  render(result?: Value): Rendered {
    return render(this.blocks[0]!.lines, this.types, this.parameters, result?.code);
  }

  private local(type: ValueType): number {
    return this.types.push(type) - 1;
  }

  private lines(): Line[] {
    return this.blocks.at(-1)!.lines;
  }

  private inBlock(body: () => void): readonly Line[] {
    const block: Block = { lines: [], known: new Map() };
    this.blocks.push(block);
    body();
    this.blocks.pop();
    return block.lines;
  }
}

// ── rendering ──────────────────────────────────────────────────────────────────────────────────────────────

/** What is used once, in its own block, is written where it is used; what is not used is left out. */
function render(
  lines: readonly Line[],
  types: readonly ValueType[],
  parameters: number,
  result: Expression | undefined,
): Rendered {
  const uses = countUses(lines, result);
  const inlined = new Map<number, Expression>();
  const numbers = new Map<number, number>();
  const locals: ValueType[] = [];

  const numberOf = (local: number): number => {
    if (local < parameters) return local;
    const known = numbers.get(local) ?? parameters + locals.push(types[local]!) - 1;
    numbers.set(local, known);
    return known;
  };
  const fill = (expression: Expression): Expression => {
    switch (expression.kind) {
      case 'local': {
        const inline = inlined.get(expression.local);
        return inline ?? { ...expression, local: numberOf(expression.local) };
      }
      case 'instruction':
      case 'call':
        return { ...expression, operands: expression.operands.map(fill) };
      case 'shuffle':
        return { ...expression, operands: [fill(expression.operands[0]), fill(expression.operands[1])] };
      case 'i32':
      case 'i64':
      case 'f32':
      case 'f64':
      case 'v128':
      case 'scratch':
        return expression;
    }
  };
  const renderLine = (line: Line): Statement[] => {
    switch (line.kind) {
      case 'let': {
        const count = uses.get(line.local) ?? 0;
        if (count === 0) return [];
        const value = fill(line.value);
        if (count === 1 && line.inline) {
          inlined.set(line.local, value);
          return [];
        }
        return [{ kind: 'set', local: numberOf(line.local), value }];
      }
      case 'set':
        return [{ kind: 'set', local: numberOf(line.local), value: fill(line.value) }];
      case 'do':
        return [{ kind: 'do', expression: fill(line.expression) }];
      case 'if': {
        const condition = fill(line.condition);
        return [{ kind: 'if', condition, body: line.lines.flatMap(renderLine) }];
      }
      case 'loop': {
        const { from, to, step } = line;
        const local = numberOf(line.local);
        const bounds = { from: fill(from), to: fill(to), step };
        return [{ kind: 'loop', local, ...bounds, body: line.lines.flatMap(renderLine) }];
      }
    }
  };
  const body = lines.flatMap(renderLine);
  return { locals, body, result: result && fill(result) };
}

/**
 * How often each local is used. A use in an inner block counts twice: writing the expression there would move
 * it into a loop. Lines that nothing uses use nothing, so they are gone through from the last.
 */
function countUses(lines: readonly Line[], result: Expression | undefined): ReadonlyMap<number, number> {
  const home = new Map<number, number>();
  const find = (inner: readonly Line[], depth: number): void => {
    for (const line of inner) {
      if (line.kind === 'let') home.set(line.local, depth);
      if (line.kind === 'if' || line.kind === 'loop') find(line.lines, depth + 1);
    }
  };
  find(lines, 0);
  const uses = new Map<number, number>();
  const use = (expression: Expression, depth: number, weight = 1): void => {
    switch (expression.kind) {
      case 'local': {
        const count = home.get(expression.local) === depth ? weight : 2;
        uses.set(expression.local, (uses.get(expression.local) ?? 0) + count);
        return;
      }
      case 'instruction':
      case 'call':
      case 'shuffle':
        for (const operand of expression.operands) use(operand, depth, weight);
        return;
      case 'i32':
      case 'i64':
      case 'f32':
      case 'f64':
      case 'v128':
      case 'scratch':
        return;
    }
  };
  const visit = (inner: readonly Line[], depth: number): void => {
    for (const line of inner.toReversed()) {
      switch (line.kind) {
        case 'let':
          if (uses.has(line.local)) use(line.value, depth);
          break;
        case 'set':
          use(line.value, depth);
          break;
        case 'do':
          use(line.expression, depth);
          break;
        case 'if':
          visit(line.lines, depth + 1);
          use(line.condition, depth);
          break;
        case 'loop':
          visit(line.lines, depth + 1);
          use(line.from, depth);
          // It is looked at in each step.
          use(line.to, depth, 2);
          break;
      }
    }
  };
  if (result !== undefined) use(result, 0);
  visit(lines, 0);
  return uses;
}
