/**
 * A kernel of a PTX module made ready to run: its steps, where its registers are, and its WebAssembly. It is
 * data, which other threads can be given, and the same for all launches.
 */
import type { FunctionCode, ImportedFunction } from '../../wasm/code.ts';
import { encodeModule } from '../../wasm/encode.ts';
import type { Instruction, PtxFunction, PtxModule, Register, SpecialName, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { ptxTypes } from '../ptx-types.ts';
import type { SavedWord } from './calls.ts';
import { type FunctionBeside, type InlinedBody, inlineCalls } from './inline.ts';
import { laneRules } from './lane-rules.ts';
import { bookkeepingFor, frameRegister, type KernelContext, LaneWriter } from './lane-writer.ts';
import { alignTo, codeStep, header, lanesOfWarp, stackBytes, type WindowBytes } from './layout.ts';
import { type Step, stepsOf } from './steps.ts';
import { livenessOf, registersIn } from './uses.ts';

/** What a kernel needs of memory, whatever it is launched with. */
export interface KernelNeeds extends WindowBytes {
  readonly entry: PtxFunction;
  readonly body: InlinedBody;
  readonly steps: readonly Step[];
  /** The first step of the entry. */
  readonly start: number;
  /**
   * Offsets of variables in their windows; of those in global memory from the first of the module, of those
   * of functions from where the call's frame begins.
   */
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly staticShared: number;
  /** Of local memory what is there from the start: the stack lies behind. */
  readonly staticLocal: number;
  readonly functions: ReadonlyMap<string, CalledFunction>;
  readonly framed: ReadonlySet<Variable>;
  /** The lower halves of the addresses of functions. */
  readonly codePlaces: ReadonlyMap<string, number>;
}

/** A function that is called, and not in place of the call. */
export interface CalledFunction extends Pick<FunctionBeside, 'name' | 'parameters' | 'results' | 'problem'> {
  readonly start: number;
  readonly frameBytes: number;
  /** The lower half of its address. */
  readonly place: number;
}

/** The variables of a module that all its kernels share, and where they are in their windows. */
export interface ModuleVariables {
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly globals: readonly Variable[];
  readonly constants: readonly Variable[];
  readonly globalBytes: number;
  readonly constBytes: number;
  /** The lower halves of the addresses of functions. */
  readonly codePlaces: ReadonlyMap<string, number>;
}

/** Something lies between variables in global memory, so that who leaves one is not in another. */
const gapBytes = 256;

export function variablesOf({ variables, functions }: PtxModule): ModuleVariables {
  const all = [...variables, ...functions.flatMap((each) => each.variables)];
  const globals = all.filter(({ space }) => space === 'global');
  const constants = all.filter(({ space }) => space === 'const');
  const offsets = new Map<Variable, number>();
  const globalBytes = placeIn(offsets, globals, 0, 256, gapBytes);
  const constBytes = alignTo(placeIn(offsets, constants, 0), 16);
  const codePlaces = new Map(functions.map(({ name }, at) => [name, codeStep * (at + 1)]));
  return { offsets, globals, constants, globalBytes, constBytes, codePlaces };
}

/** One after the other; gives where they end. */
function placeIn(
  offsets: Map<Variable, number>,
  variables: readonly Variable[],
  from: number,
  alignment = 1,
  gap = 0,
): number {
  let end = from;
  for (const variable of variables) {
    const start = alignTo(end, Math.max(alignment, variable.alignment));
    offsets.set(variable, start);
    end = start + variable.bytes + gap;
  }
  return end;
}

/** @throws PtxError where there is no such kernel, or it has what is not supported. */
export function needsOf(module: PtxModule, variables: ModuleVariables, name: string): KernelNeeds {
  const entry = module.functions.find((each) => each.name === name && each.isEntry);
  const kernels = module.functions.filter(({ isEntry }) => isEntry).map((each) => each.name);
  if (entry?.body === undefined)
    throw new PtxError(
      `there is no kernel ${name}; there ${kernels.length === 1 ? 'is' : 'are'} ${kernels.join(', ') || 'none'}`,
      { line: 1, column: 1 },
    );
  if (entry.problem !== undefined) throw new PtxError(entry.problem.message, entry.problem.place);
  const body = inlineCalls(module, entry);
  const { steps, starts } = stepsOf([
    ...body.functions.map(({ statements }) => ({ statements, isFunction: true })),
    { statements: body.statements, isFunction: false },
  ]);
  const offsets = new Map(variables.offsets);
  const all = [...module.variables, ...body.variables];
  const of = (space: Variable['space']): readonly Variable[] => all.filter((each) => each.space === space);
  const shared = of('shared');
  // What the launch gives lies behind the rest, all of it at one place.
  const open = shared.filter(({ bytes }) => bytes === 0);
  const closed = shared.filter(({ bytes }) => bytes > 0);
  const staticShared = placeIn(offsets, closed, 0);
  const dynamic = alignTo(staticShared, Math.max(16, ...open.map(({ alignment }) => alignment)));
  for (const variable of open) offsets.set(variable, dynamic);
  const { codePlaces } = variables;
  const functions = new Map(
    body.functions.map((each, at): readonly [string, CalledFunction] => {
      const { name: own, parameters, results, problem } = each;
      // A call takes something, or calls without variables would have no end.
      const frameBytes = Math.max(16, alignTo(placeIn(offsets, each.variables, 0), 16));
      const place = codePlaces.get(own)!;
      return [own, { name: own, parameters, results, problem, start: starts[at]!, frameBytes, place }];
    }),
  );
  const staticLocal = alignTo(placeIn(offsets, of('local'), 0), 16);
  const hasStack = functions.size > 0 || steps.some(usesStack);
  return {
    ...{ entry, body, steps, offsets, functions, codePlaces, staticLocal, start: starts.at(-1)! },
    framed: new Set(body.functions.flatMap((each) => each.variables)),
    staticShared: open.length > 0 ? dynamic : staticShared,
    localBytes: staticLocal + (hasStack ? stackBytes : 0),
    constBytes: variables.constBytes,
    paramBytes: placeIn(offsets, entry.parameters, 0),
  };
}

function usesStack(step: Step): boolean {
  return step.kind === 'warp' && (step.instruction.op === 'alloca' || step.instruction.op === 'stacksave');
}

export interface Kernel {
  readonly needs: KernelNeeds;
  readonly options: CodeOptions;
  /** Of the registers of one warp. */
  readonly fileBytes: number;
  /** Where in the file of a warp each register is. */
  readonly slots: ReadonlyMap<Register | SpecialName, number>;
  readonly specials: readonly SpecialName[];
  /** By the numbers that the code knows them by. */
  readonly instructions: readonly Instruction[];
  readonly numbers: ReadonlyMap<Instruction, number>;
  readonly roundings: readonly string[];
  /** Of registers that may be read before they are written: which lanes wrote them. */
  readonly written: ReadonlyMap<Register, Register>;
  /** Of each step that calls a function: what registers the caller needs afterwards. */
  readonly savedAt: ReadonlyMap<number, readonly SavedWord[]>;
  /** Where each lane has the offset of its frame. */
  readonly frameSlot: number;
  readonly code: WebAssembly.Module;
}

export interface CodeOptions {
  readonly fusedMultiplyAdd: boolean;
  readonly checksMemory: boolean;
  readonly checksRaces: boolean;
  readonly checksGlobalRaces: boolean;
}

/** What the code calls of the host, and of the code that all kernels share. */
const imports: readonly ImportedFunction[] = [
  { name: 'fault', parameters: ['i32', 'i32', 'i32', 'i32'], result: undefined },
  ...['noteRead', 'noteWrite'].map(
    (name): ImportedFunction => ({
      name,
      parameters: ['i32', 'i32', 'i32', 'i32', 'i32'],
      result: undefined,
    }),
  ),
  ...['noteReadFour', 'noteWriteFour'].map(
    (name): ImportedFunction => ({ name, parameters: ['i32', 'v128', 'i32', 'i32'], result: undefined }),
  ),
  ...['Read', 'Write', 'Reads', 'Writes', 'ReadBytes', 'WriteBytes'].map(
    (use): ImportedFunction => ({
      name: `noteGlobal${use}`,
      parameters: ['i32', 'i32', 'i32', 'i32'],
      result: undefined,
    }),
  ),
  { name: 'synchronise', parameters: ['i32'], result: undefined },
  { name: 'operate', parameters: ['i32', 'f64', 'f64', 'f64'], result: 'f64' },
  { name: 'narrow', parameters: ['i32', 'f64'], result: 'i32' },
  { name: 'widen', parameters: ['i32', 'i32'], result: 'f64' },
  ...['log2', 'sin', 'cos', 'tanh'].map(
    (name): ImportedFunction => ({ name, parameters: ['f64'], result: 'f64' }),
  ),
];

export function stepName(place: number): string {
  return `step ${place}`;
}

/** What is wanted at the start nobody has written; sums of products are written when they are over. */
function watchedRegisters(
  steps: readonly Step[],
  atStart: ReadonlySet<Register>,
): ReadonlyMap<Register, Register> {
  const sums = steps.flatMap((step) =>
    step.kind === 'warp' && step.instruction.op === 'wgmma.mma_async'
      ? registersIn(step.instruction.operands[0]!)
      : [],
  );
  return new Map([...new Set([...atStart, ...sums])].map((each) => [each, bookkeepingFor(each)]));
}

/** With what is known of who wrote them. */
function wordsToSave(
  registers: ReadonlySet<Register>,
  written: ReadonlyMap<Register, Register>,
  slotOf: (register: Register) => number,
): readonly SavedWord[] {
  const all = [...registers].flatMap((each) => {
    const known = written.get(each);
    return known === undefined ? [each] : [each, known];
  });
  return all.flatMap((register): SavedWord[] => {
    const slot = slotOf(register);
    if (ptxTypes[register.type].bits !== 64) return [{ slot, stride: 1, half: 0 }];
    return [
      { slot, stride: 2, half: 0 },
      { slot, stride: 2, half: 1 },
    ];
  });
}

/** @throws PtxError where an instruction has a form that is not supported. */
export function compileKernel(needs: KernelNeeds, options: CodeOptions): Kernel {
  const { steps } = needs;
  const liveness = livenessOf(steps);
  const slots = new Map<Register | SpecialName, number>();
  let end: number = header.bytes;
  const slotOf = (name: Register | SpecialName): number => {
    const known = slots.get(name);
    if (known !== undefined) return known;
    const isWide =
      typeof name === 'object' ? ptxTypes[name.type].bits === 64 : /^(clock64|globaltimer)$/.test(name);
    const start = end;
    slots.set(name, start);
    end += lanesOfWarp * (isWide ? 8 : 4);
    return start;
  };
  const instructions: Instruction[] = [];
  const numbers = new Map<Instruction, number>();
  const roundings: string[] = [];
  const context: KernelContext = {
    window: needs,
    slotOf,
    offsetOf: (variable) => needs.offsets.get(variable) ?? 0,
    isFramed: (variable) => needs.framed.has(variable),
    codePlaceOf: (name) => needs.codePlaces.get(name) ?? 0,
    written: watchedRegisters(
      steps,
      new Set(
        [needs.start, ...[...needs.functions.values()].map(({ start }) => start)].flatMap((start) => [
          ...liveness.before[start]!,
        ]),
      ),
    ),
    ...options,
    numberOf: (instruction) => {
      const known = numbers.get(instruction) ?? instructions.push(instruction) - 1;
      numbers.set(instruction, known);
      return known;
    },
    roundingNumber: (description) => {
      const known = roundings.indexOf(description);
      return known >= 0 ? known : roundings.push(description) - 1;
    },
  };
  const functions = steps.flatMap((step, place): FunctionCode[] => {
    if (step.kind !== 'lanes') {
      const { instruction } = step;
      if (instruction === undefined) return [];
      // Its registers have a place, whoever reads them.
      for (const operand of instruction.operands) for (const each of registersIn(operand)) slotOf(each);
      if (instruction.guard !== undefined) slotOf(instruction.guard.register);
      for (const operand of instruction.operands) if (operand.kind === 'special') slotOf(operand.name);
      context.numberOf(instruction);
      return [];
    }
    const writer = new LaneWriter(context);
    const where = { end: step.end, last: step.last, place, liveAfter: liveness.after[place]! };
    return [
      writer.step(
        stepName(place),
        step.instructions,
        (own, instruction) => laneRules[instruction.op](own, instruction),
        where,
      ),
    ];
  });
  const code = new WebAssembly.Module(encodeModule({ imports, functions }));
  const { written } = context;
  for (const register of written.values()) slotOf(register);
  const frameSlot = slotOf(frameRegister);
  const savedAt = new Map(
    steps.flatMap((step, place) =>
      step.kind === 'call' ? [[place, wordsToSave(liveness.after[place]!, written, slotOf)] as const] : [],
    ),
  );
  const specials = [...slots.keys()].filter((name): name is SpecialName => typeof name === 'string');
  return {
    ...{ needs, options, slots, specials, instructions, numbers, roundings, written, savedAt, code },
    frameSlot,
    fileBytes: alignTo(end, 64),
  };
}
