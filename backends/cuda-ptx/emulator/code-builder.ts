/** Functions of WebAssembly that are written here by hand: locals are numbered as they are asked for. */
import type { Expression, FunctionCode, Statement } from '../../wasm/code.ts';
import { typeOf } from '../../wasm/code.ts';
import type { InstructionName, ValueType } from '../../wasm/instructions.ts';
import { i32, run } from './code-text.ts';

/** A local that changes. */
export interface Changing {
  readonly value: Expression;
  readonly set: (value: Expression) => void;
}

export class CodeBuilder {
  private readonly parameters: readonly ValueType[];
  private readonly locals: ValueType[] = [];
  private statements: Statement[] = [];

  constructor(parameters: readonly ValueType[]) {
    this.parameters = parameters;
  }

  parameter(number: number): Expression {
    return { kind: 'local', local: number, type: this.parameters[number]! };
  }

  private newLocal(type: ValueType): number {
    return this.parameters.length + this.locals.push(type) - 1;
  }

  /** Computed once, here. */
  hold(value: Expression): Expression {
    const type = typeOf(value);
    const local = this.newLocal(type);
    this.statements.push({ kind: 'set', local, value });
    return { kind: 'local', local, type };
  }

  changing(first: Expression): Changing {
    const type = typeOf(first);
    const local = this.newLocal(type);
    const set = (value: Expression): void => {
      this.statements.push({ kind: 'set', local, value });
    };
    set(first);
    return { value: { kind: 'local', local, type }, set };
  }

  store(name: InstructionName, address: Expression, value: Expression, offset = 0): void {
    this.statements.push({
      kind: 'do',
      expression: { kind: 'instruction', name, operands: [address, value], offset },
    });
  }

  storeLane(name: InstructionName, address: Expression, value: Expression, lane: number): void {
    this.statements.push({
      kind: 'do',
      expression: { kind: 'instruction', name, operands: [address, value], lane },
    });
  }

  run(callee: string, ...operands: readonly Expression[]): void {
    this.statements.push({ kind: 'run', callee, operands });
  }

  when(condition: Expression, write: () => void): void {
    this.statements.push({ kind: 'if', condition, body: this.within(write) });
  }

  loop(from: Expression, to: Expression, step: number, write: (at: Expression) => void): void {
    const local = this.newLocal('i32');
    const end = this.hold(to);
    const body = this.within(() => write({ kind: 'local', local, type: 'i32' }));
    this.statements.push({ kind: 'loop', local, from, to: end, step, body });
  }

  private within(write: () => void): readonly Statement[] {
    const around = this.statements;
    this.statements = [];
    write();
    const body = this.statements;
    this.statements = around;
    return body;
  }

  function(name: string, result?: Expression): FunctionCode {
    const { parameters, locals, statements } = this;
    return { name, parameters, result, locals, body: statements, exported: true };
  }
}

export function load(name: InstructionName, address: Expression, offset = 0): Expression {
  return { kind: 'instruction', name, operands: [address], offset };
}

/** The `at`th word from an address on. */
export function wordAt(base: Expression, at: Expression, offset = 0): Expression {
  return load('i32.load', run('i32.add', base, run('i32.shl', at, i32(2))), offset);
}

export function allOf(...conditions: readonly Expression[]): Expression {
  return conditions.reduce((all, each) => run('i32.and', all, each));
}
