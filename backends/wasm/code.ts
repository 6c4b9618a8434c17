/** The code of functions as trees: what the encoder and the printer read. */
import { type InstructionName, instructions, type ValueType } from './instructions.ts';

export type Expression =
  | { readonly kind: 'i32'; readonly value: number }
  | { readonly kind: 'i64'; readonly value: bigint }
  | { readonly kind: 'f32'; readonly value: number }
  | { readonly kind: 'f64'; readonly value: number }
  /** Four 32-bit words. */
  | { readonly kind: 'v128'; readonly words: readonly [number, number, number, number] }
  | { readonly kind: 'local'; readonly local: number; readonly type: ValueType }
  /** The first byte of the memory that the thread has to itself. */
  | { readonly kind: 'scratch' }
  | {
      readonly kind: 'instruction';
      readonly name: InstructionName;
      readonly operands: readonly Expression[];
      readonly lane?: number;
      /** Bytes that are added to the address, which is the first operand. */
      readonly offset?: number;
    }
  /** Of two vectors: for each of four 32-bit lanes which of the eight it is. */
  | {
      readonly kind: 'shuffle';
      readonly lanes: readonly [number, number, number, number];
      readonly operands: readonly [Expression, Expression];
    }
  | {
      readonly kind: 'call';
      readonly callee: string;
      readonly type: ValueType;
      readonly operands: readonly Expression[];
    };

export type Statement =
  | { readonly kind: 'set'; readonly local: number; readonly value: Expression }
  /** An instruction without a result: a store. */
  | { readonly kind: 'do'; readonly expression: Expression }
  /** A function without a result. */
  | { readonly kind: 'run'; readonly callee: string; readonly operands: readonly Expression[] }
  | { readonly kind: 'if'; readonly condition: Expression; readonly body: readonly Statement[] }
  /** At least once, and again while the condition holds. */
  | { readonly kind: 'repeat'; readonly body: readonly Statement[]; readonly condition: Expression }
  /** `local` = from, from + step, … while below `to`, which stays the same; all are signed. */
  | {
      readonly kind: 'loop';
      readonly local: number;
      readonly from: Expression;
      readonly to: Expression;
      readonly step: number;
      readonly body: readonly Statement[];
    };

export interface FunctionCode {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  /** Its type, where it gives something: the value of `result` after the body. */
  readonly result: Expression | undefined;
  /** Types of the locals after the parameters. */
  readonly locals: readonly ValueType[];
  readonly body: readonly Statement[];
  readonly exported: boolean;
}

/** A function of the host's, imported as `runtime.NAME`. */
export interface ImportedFunction {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly result: ValueType | undefined;
}

/**
 * Its memory, which all threads share, is imported as `runtime.memory`; where in it there is what an instance
 * has to itself, as the constant `runtime.scratch`.
 */
export interface ModuleCode {
  readonly imports?: readonly ImportedFunction[];
  readonly functions: readonly FunctionCode[];
  /** Whether functions ask for it. */
  readonly hasScratch?: boolean;
}

export function typeOf(expression: Expression): ValueType {
  switch (expression.kind) {
    case 'i32':
    case 'i64':
    case 'f32':
    case 'f64':
    case 'v128':
      return expression.kind;
    case 'local':
    case 'call':
      return expression.type;
    case 'scratch':
      return 'i32';
    case 'shuffle':
      return 'v128';
    case 'instruction': {
      const { result } = instructions[expression.name];
      if (result === undefined) throw new Error(`${expression.name} has no value`);
      return result;
    }
  }
}
