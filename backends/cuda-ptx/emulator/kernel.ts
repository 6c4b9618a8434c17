/**
 * A kernel of a PTX module made ready to run: its steps, where its registers are, and its WebAssembly. It is
 * data, which other threads can be given, and the same for all launches.
 */
import type { FunctionCode, ImportedFunction } from '../../wasm/code.ts';
import { encodeModule } from '../../wasm/encode.ts';
import type { Instruction, PtxFunction, PtxModule, Register, SpecialName, Variable } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';
import { ptxTypes } from '../ptx-types.ts';
import { type InlinedBody, inlineCalls } from './inline.ts';
import { laneRules } from './lane-rules.ts';
import { bookkeepingFor, type KernelContext, LaneWriter } from './lane-writer.ts';
import { alignTo, header, lanesOfWarp, type WindowBytes } from './layout.ts';
import { type Step, stepsOf } from './steps.ts';
import { livenessOf, registersIn } from './uses.ts';

/** What a kernel needs of memory, whatever it is launched with. */
export interface KernelNeeds extends WindowBytes {
  readonly entry: PtxFunction;
  readonly body: InlinedBody;
  readonly steps: readonly Step[];
  /** Offsets of variables in their windows; of those in global memory from the first of the module. */
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly staticShared: number;
}

/** The variables of a module that all its kernels share, and where they are in their windows. */
export interface ModuleVariables {
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly globals: readonly Variable[];
  readonly constants: readonly Variable[];
  readonly globalBytes: number;
  readonly constBytes: number;
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
  return { offsets, globals, constants, globalBytes, constBytes };
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
  const steps = stepsOf(body.statements);
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
  return {
    ...{ entry, body, steps, offsets },
    staticShared: open.length > 0 ? dynamic : staticShared,
    localBytes: alignTo(placeIn(offsets, of('local'), 0), 16),
    constBytes: variables.constBytes,
    paramBytes: placeIn(offsets, entry.parameters, 0),
  };
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
    written: watchedRegisters(steps, liveness.before[0] ?? new Set()),
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
    if (step.kind === 'warp') {
      // Its registers have a place, whoever reads them.
      for (const operand of step.instruction.operands) for (const each of registersIn(operand)) slotOf(each);
      if (step.instruction.guard !== undefined) slotOf(step.instruction.guard.register);
      for (const operand of step.instruction.operands) if (operand.kind === 'special') slotOf(operand.name);
      context.numberOf(step.instruction);
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
  const specials = [...slots.keys()].filter((name): name is SpecialName => typeof name === 'string');
  return {
    ...{ needs, options, slots, specials, instructions, numbers, roundings, written, code },
    fileBytes: alignTo(end, 64),
  };
}
