/**
 * Writes the code of a step: its instructions for four lanes at a time, with their registers in locals, eight
 * times over for the 32 lanes of a warp. Between steps registers are in the warp's file in memory, 32 bits a
 * lane (16-bit values zero-extended, predicates all bits or none) or 64.
 */
import { type Expression, type FunctionCode, type Statement, typeOf } from '../../wasm/code.ts';
import type { ValueType } from '../../wasm/instructions.ts';
import type { Guard, Instruction, Operand, Register, SpecialName, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { ptxTypes } from '../ptx-types.ts';
import {
  both,
  choose,
  i32,
  laneOf,
  longs,
  lowWords,
  run,
  type Wide,
  wideMask,
  wideOf,
  withLane,
  words,
} from './code-text.ts';
import { codeWindow, header, type WindowBytes, windows } from './layout.ts';
import type { LaneInstruction, StepEnd } from './steps.ts';

/** What all steps of a kernel share. */
export interface KernelContext {
  readonly window: WindowBytes;
  readonly slotOf: (name: Register | SpecialName) => number;
  /** The offset of a variable in its window; of one of global memory from the first of the module. */
  readonly offsetOf: (variable: Variable) => number;
  /** Whether its offset is from where the frame of a call begins. */
  readonly isFramed: (variable: Variable) => boolean;
  /** The lower half of the address of a function. */
  readonly codePlaceOf: (name: string) => number;
  /** Of registers that may be read before they are written: the register that tells of which lanes wrote. */
  readonly written: ReadonlyMap<Register, Register>;
  /** Whether `relaxed_madd` rounds once here. */
  readonly fusedMultiplyAdd: boolean;
  readonly checksMemory: boolean;
  readonly checksRaces: boolean;
  readonly checksGlobalRaces: boolean;
  /** A number by which the host knows the instruction. */
  readonly numberOf: (instruction: Instruction) => number;
  /** A number by which the host knows how to round. */
  readonly roundingNumber: (description: string) => number;
}

/** Where the variables of the function that a lane is in begin in its local memory. */
export const frameRegister: Register = { kind: 'register', name: 'the frame', type: 'b32' };

/** How a step ends, and where in the kernel it is. */
export interface StepPlace {
  readonly end: StepEnd;
  readonly last: Instruction | undefined;
  readonly place: number;
  readonly liveAfter: ReadonlySet<Register>;
}

/** Parameters and locals that every step has. */
const fixed = { warp: 0, mask: 1, group: 2, base: 3, base64: 4, taken: 5, rounds: 6, lanes: 7 } as const;
const fixedLocals: readonly ValueType[] = ['i32', 'i32', 'i32', 'i32', 'i32', 'v128'];

/** A step that leads to itself gives others a turn after so many rounds. */
const mostRounds = 4096;

export class LaneWriter {
  readonly context: KernelContext;
  private readonly types: ValueType[] = [...fixedLocals];
  private statements: Statement[] = [];
  private readonly current = new Map<Register | SpecialName, Expression | Wide>();
  private readonly changed = new Set<Register>();
  private instruction: Instruction | undefined;
  private guardMask: Expression | undefined;

  constructor(context: KernelContext) {
    this.context = context;
  }

  // ── locals ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Computed once, here. */
  hold(value: Expression): Expression {
    if (value.kind === 'local' || value.kind === 'v128' || value.kind === 'i32') return value;
    const type = typeOf(value);
    const local = this.types.push(type) + 1;
    this.statements.push({ kind: 'set', local, value });
    return { kind: 'local', local, type };
  }

  holdWide(value: Wide): Wide {
    return both(value, (half) => this.hold(half));
  }

  do(expression: Expression): void {
    this.statements.push({ kind: 'do', expression });
  }

  push(statement: Statement): void {
    this.statements.push(statement);
  }

  /** A local that several places set. */
  variable(): { readonly value: Expression; readonly set: (value: Expression) => void } {
    const number = this.types.push('v128') + 1;
    return {
      value: { kind: 'local', local: number, type: 'v128' },
      set: (value) => this.statements.push({ kind: 'set', local: number, value }),
    };
  }

  /** Of 32 bits, which several places set. */
  flag(first: Expression): { readonly value: Expression; readonly set: (value: Expression) => void } {
    const number = this.types.push('i32') + 1;
    const set = (value: Expression): void => {
      this.statements.push({ kind: 'set', local: number, value });
    };
    set(first);
    return { value: { kind: 'local', local: number, type: 'i32' }, set };
  }

  /** What `write` writes happens where the condition holds. It may read no register. */
  when(condition: Expression, write: () => void): void {
    const around = this.statements;
    this.statements = [];
    write();
    const body = this.statements;
    this.statements = around;
    this.statements.push({ kind: 'if', condition, body });
  }

  // ── registers ────────────────────────────────────────────────────────────────────────────────────────────

  private isWide(register: Register | SpecialName): boolean {
    return typeof register === 'object'
      ? ptxTypes[register.type].bits === 64
      : register === 'clock64' || register === 'globaltimer';
  }

  private read(register: Register | SpecialName): Expression | Wide {
    const known = this.current.get(register);
    if (known !== undefined) return known;
    const loaded = this.load(register);
    const held = isWideValue(loaded) ? this.holdWide(loaded) : this.hold(loaded);
    this.current.set(register, held);
    return held;
  }

  private load(register: Register | SpecialName): Expression | Wide {
    const offset = this.context.slotOf(register);
    if (!this.isWide(register)) return vectorAt(fixed.base, offset);
    return { low: vectorAt(fixed.base64, offset), high: vectorAt(fixed.base64, offset + 16) };
  }

  private readChecked(register: Register): Expression | Wide {
    const written = this.context.written.get(register);
    if (written !== undefined && this.context.checksMemory) {
      const lacking = run('v128.andnot', this.active(), this.read(written) as Expression);
      this.failWhere(lacking, 'register');
    }
    return this.read(register);
  }

  private write(register: Register, value: Expression | Wide): void {
    const guard = this.guardMask;
    if (isWideValue(value)) {
      if (guard === undefined) this.current.set(register, this.holdWide(value));
      else {
        const masks = wideMask(guard);
        const before = this.read(register) as Wide;
        const low = this.hold(choose(masks.low, value.low, before.low));
        this.current.set(register, { low, high: this.hold(choose(masks.high, value.high, before.high)) });
      }
    } else {
      const next = guard === undefined ? value : choose(guard, value, this.read(register) as Expression);
      // A copy of another register's local would change with it; locals here are set once, so it may stay.
      this.current.set(register, this.hold(next));
    }
    this.changed.add(register);
    const written = this.context.written.get(register);
    if (written === undefined) return;
    const now = guard === undefined ? words(-1) : run('v128.or', this.read(written) as Expression, guard);
    this.current.set(written, this.hold(now));
    this.changed.add(written);
  }

  /** Lanes that run the current instruction, as a mask. */
  active(): Expression {
    const lanes: Expression = { kind: 'local', local: fixed.lanes, type: 'v128' };
    return this.guardMask === undefined ? lanes : this.hold(run('v128.and', lanes, this.guardMask));
  }

  private maskOf(guard: Guard): Expression {
    const mask = this.readChecked(guard.register) as Expression;
    return guard.negated ? this.hold(run('v128.not', mask)) : mask;
  }

  // ── operands ─────────────────────────────────────────────────────────────────────────────────────────────

  /** 32 bits of each lane, or fewer with zeros above. */
  word(operand: Operand): Expression {
    switch (operand.kind) {
      case 'register': {
        const value = this.readChecked(operand.register);
        return isWideValue(value) ? lowWords(value) : value;
      }
      case 'special': {
        const value = this.read(operand.name);
        return isWideValue(value) ? lowWords(value) : value;
      }
      case 'not':
        return run('v128.not', this.readChecked(operand.register) as Expression);
      case 'integer':
        return words(Number(BigInt.asIntN(32, operand.value)));
      case 'float':
        return operand.width === 32
          ? words(Number(BigInt.asIntN(32, operand.bits)))
          : words(new Int32Array(new Float32Array([doubleOf(operand.bits)]).buffer)[0]!);
      case 'symbol':
        return lowWords(this.symbol(operand.variable, operand.offset));
      default:
        return this.unsupported(`an operand of this kind`);
    }
  }

  /** 64 bits of each lane. Of 32-bit registers the upper half is zero. */
  wide(operand: Operand): Wide {
    switch (operand.kind) {
      case 'register': {
        const value = this.readChecked(operand.register);
        return isWideValue(value) ? value : this.holdWide(wideOf(value, words(0)));
      }
      case 'special': {
        const value = this.read(operand.name);
        return isWideValue(value) ? value : this.holdWide(wideOf(value, words(0)));
      }
      case 'integer':
        return { low: longs(operand.value), high: longs(operand.value) };
      case 'float':
        return { low: longs(operand.bits), high: longs(operand.bits) };
      case 'symbol':
        return this.symbol(operand.variable, operand.offset);
      default:
        return this.unsupported(`an operand of this kind`);
    }
  }

  /** The address of a variable in its own space: of shared memory with the rank of the block. */
  private symbol(variable: Variable, offset: number): Wide {
    const place = this.context.offsetOf(variable) + offset;
    if (variable.space === 'global') {
      const own = run('i32x4.add', this.headerWord(header.globalBase), words(place));
      return this.holdWide(wideOf(this.hold(own), words(windows.global)));
    }
    if (variable.space === 'code') {
      const address = (BigInt(codeWindow) << 32n) + BigInt(this.context.codePlaceOf(variable.name));
      return { low: longs(address), high: longs(address) };
    }
    if (this.context.isFramed(variable)) {
      const own = run('i32x4.add', this.read(frameRegister) as Expression, words(place));
      return this.holdWide(wideOf(this.hold(own), words(0)));
    }
    if (variable.space !== 'shared') return { low: longs(BigInt(place)), high: longs(BigInt(place)) };
    const own = run('i32x4.add', this.headerWord(header.sharedWindow), words(place));
    return this.holdWide(wideOf(this.hold(own), words(0)));
  }

  /** The word of the warp's header in every lane. */
  headerWord(offset: number): Expression {
    return {
      kind: 'instruction',
      name: 'v128.load32_splat',
      operands: [{ kind: 'local', local: fixed.warp, type: 'i32' }],
      offset,
    };
  }

  /** The number of each lane of these four in its warp. */
  laneNumbers(): Expression {
    const first = run('i32.shr_u', { kind: 'local', local: fixed.group, type: 'i32' }, i32(2));
    return run('i32x4.add', run('i32x4.splat', first), { kind: 'v128', words: [0, 1, 2, 3] });
  }

  warpBase(): Expression {
    return { kind: 'local', local: fixed.warp, type: 'i32' };
  }

  setWord(operand: Operand, value: Expression): void {
    if (operand.kind === 'sink') return;
    if (operand.kind !== 'register') this.unsupported('a result of this kind');
    else if (this.isWide(operand.register)) this.write(operand.register, wideOf(this.hold(value), words(0)));
    else this.write(operand.register, value);
  }

  setWide(operand: Operand, value: Wide): void {
    if (operand.kind === 'sink') return;
    if (operand.kind !== 'register') this.unsupported('a result of this kind');
    else if (this.isWide(operand.register)) this.write(operand.register, value);
    else this.write(operand.register, lowWords(value));
  }

  // ── one lane after the other ─────────────────────────────────────────────────────────────────────────────

  /** For what has no instruction of vectors. */
  eachWord(inputs: readonly Expression[], one: (...inputs: Expression[]) => Expression): Expression {
    const held = inputs.map((input) => this.hold(input));
    let result = words(0);
    for (let lane = 0; lane < 4; lane++) {
      const own = held.map((input) => this.hold(laneOf('i32x4.extract_lane', input, lane)));
      result = withLane('i32x4.replace_lane', result, lane, one(...own));
    }
    return this.hold(result);
  }

  eachLong(inputs: readonly Wide[], one: (...inputs: Expression[]) => Expression): Wide {
    const halves = (['low', 'high'] as const).map((half) => {
      const held = inputs.map((input) => this.hold(input[half]));
      let result = words(0);
      for (let lane = 0; lane < 2; lane++) {
        const own = held.map((input) => this.hold(laneOf('i64x2.extract_lane', input, lane)));
        result = withLane('i64x2.replace_lane', result, lane, one(...own));
      }
      return this.hold(result);
    });
    return { low: halves[0]!, high: halves[1]! };
  }

  eachDouble(inputs: readonly Wide[], one: (...inputs: Expression[]) => Expression): Wide {
    const halves = (['low', 'high'] as const).map((half) => {
      const held = inputs.map((input) => this.hold(input[half]));
      let result = words(0);
      for (let lane = 0; lane < 2; lane++) {
        const own = held.map((input) => laneOf('f64x2.extract_lane', input, lane));
        result = withLane('f64x2.replace_lane', result, lane, one(...own));
      }
      return this.hold(result);
    });
    return { low: halves[0]!, high: halves[1]! };
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends the run with a fault of the kind where the mask has a lane. `address` is kept for the report. */
  failWhere(mask: Expression, kind: FaultKind, address?: Wide): void {
    const held = this.hold(mask);
    const lanes = run(
      'i32.shl',
      run('i32x4.bitmask', held),
      run('i32.shr_u', { kind: 'local', local: fixed.group, type: 'i32' }, i32(2)),
    );
    const store = (value: Expression, offset: number): Statement => ({
      kind: 'do',
      expression: {
        kind: 'instruction',
        name: 'v128.store',
        operands: [this.warpBase(), value],
        offset,
      },
    });
    this.statements.push({
      kind: 'if',
      condition: run('v128.any_true', held),
      body: [
        ...(address === undefined
          ? []
          : [store(address.low, header.badAddress), store(address.high, header.badAddress + 16)]),
        {
          kind: 'run',
          callee: 'fault',
          operands: [i32(faultKinds.indexOf(kind)), i32(this.number()), this.warpBase(), lanes],
        },
      ],
    });
  }

  number(): number {
    return this.context.numberOf(this.instruction!);
  }

  unsupported(what: string): never {
    throw new PtxError(`${this.instruction?.text}: ${what} is not supported`, this.instruction!.place);
  }

  // ── the whole step ───────────────────────────────────────────────────────────────────────────────────────

  step(
    name: string,
    body: readonly LaneInstruction[],
    emit: (writer: LaneWriter, instruction: LaneInstruction) => void,
    { end, last, place, liveAfter }: StepPlace,
  ): FunctionCode {
    for (const instruction of body) {
      this.instruction = instruction;
      this.guardMask = undefined;
      if (instruction.guard !== undefined) this.guardMask = this.maskOf(instruction.guard);
      emit(this, instruction);
    }
    this.guardMask = undefined;
    const lanes: Expression = { kind: 'local', local: fixed.lanes, type: 'v128' };
    this.instruction = last;
    if (end.kind !== 'next') {
      const condition = end.guard === undefined ? lanes : run('v128.and', lanes, this.maskOf(end.guard));
      const bits = run('i32.shl', run('i32x4.bitmask', condition), quarter());
      this.statements.push({
        kind: 'set',
        local: fixed.taken,
        value: run('i32.or', local('i32', fixed.taken), bits),
      });
    }
    for (const register of this.changed)
      if (liveAfter.has(register) || isBookkeeping(register)) this.store(register, lanes);
    return this.assemble(name, end.kind === 'branch' && end.target === place);
  }

  private store(register: Register, lanes: Expression): void {
    const value = this.current.get(register)!;
    const before = this.load(register);
    const offset = this.context.slotOf(register);
    const put = (base: number, at: number, vector: Expression): void =>
      this.do({
        kind: 'instruction',
        name: 'v128.store',
        operands: [local('i32', base), vector],
        offset: at,
      });
    if (isWideValue(value) && isWideValue(before)) {
      const masks = wideMask(lanes);
      put(fixed.base64, offset, choose(masks.low, value.low, before.low));
      put(fixed.base64, offset + 16, choose(masks.high, value.high, before.high));
    } else put(fixed.base, offset, choose(lanes, value as Expression, before as Expression));
  }

  private assemble(name: string, leadsToItself: boolean): FunctionCode {
    const set = (target: number, value: Expression): Statement => ({ kind: 'set', local: target, value });
    const four = run('i32.and', run('i32.shr_u', local('i32', fixed.mask), quarter()), i32(15));
    const bitOfLane: Expression = { kind: 'v128', words: [1, 2, 4, 8] };
    const group: Statement = {
      kind: 'loop',
      local: fixed.group,
      from: i32(0),
      to: i32(128),
      step: 16,
      body: [
        {
          kind: 'if',
          condition: four,
          body: [
            set(fixed.base, run('i32.add', local('i32', fixed.warp), local('i32', fixed.group))),
            set(fixed.base64, run('i32.add', local('i32', fixed.base), local('i32', fixed.group))),
            set(fixed.lanes, run('i32x4.ne', run('v128.and', run('i32x4.splat', four), bitOfLane), words(0))),
            ...this.statements,
          ],
        },
      ],
    };
    const round: Statement[] = [set(fixed.taken, i32(0)), group];
    const rounds = local('i32', fixed.rounds);
    const body: Statement[] = leadsToItself
      ? [
          {
            kind: 'repeat',
            body: [...round, set(fixed.rounds, run('i32.add', rounds, i32(1)))],
            condition: run(
              'i32.and',
              run('i32.eq', local('i32', fixed.taken), local('i32', fixed.mask)),
              run('i32.lt_u', rounds, i32(mostRounds)),
            ),
          },
          {
            kind: 'do',
            expression: {
              kind: 'instruction',
              name: 'i32.store',
              operands: [local('i32', fixed.warp), rounds],
              offset: header.rounds,
            },
          },
        ]
      : round;
    return {
      name,
      parameters: ['i32', 'i32'],
      result: local('i32', fixed.taken),
      locals: this.types,
      body,
      exported: true,
    };
  }
}

export const faultKinds = ['register', 'access', 'race'] as const;
export type FaultKind = (typeof faultKinds)[number];

export function isWideValue(value: Expression | Wide): value is Wide {
  return 'low' in value;
}

/** Registers that tell which lanes wrote another. */
const bookkeeping = new WeakSet<Register>();

export function bookkeepingFor(register: Register): Register {
  const own: Register = { kind: 'register', name: `${register.name} written`, type: 'pred' };
  bookkeeping.add(own);
  return own;
}

function isBookkeeping(register: Register): boolean {
  return bookkeeping.has(register);
}

function local(type: ValueType, number: number): Expression {
  return { kind: 'local', local: number, type };
}

/** A quarter of the group's offset: the number of its first lane. */
function quarter(): Expression {
  return run('i32.shr_u', local('i32', fixed.group), i32(2));
}

function vectorAt(base: number, offset: number): Expression {
  return { kind: 'instruction', name: 'v128.load', operands: [local('i32', base)], offset };
}

function doubleOf(bits: bigint): number {
  return new Float64Array(new BigInt64Array([BigInt.asIntN(64, bits)]).buffer)[0]!;
}
