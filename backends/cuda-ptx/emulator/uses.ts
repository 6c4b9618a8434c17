/** What instructions read and write, and which registers hold something between steps. */
import { type OpName, ptxInstructions } from '../instructions.ts';
import { carryFlag, type Guard, type Instruction, type Operand, type Register } from '../ptx.ts';
import type { Step } from './steps.ts';

export interface Uses {
  readonly reads: readonly Register[];
  readonly writes: readonly Register[];
}

/** What is written under a guard is read as well: lanes without it keep what they had. */
export function usesOf(instruction: Instruction): Uses {
  const reads: Register[] = [];
  const writes: Register[] = [];
  const { operands } = ptxInstructions[instruction.op];
  instruction.operands.forEach((operand, at) => {
    const kind = operands[at]?.kind;
    if (kind === 'write' || kind === 'writePredicate' || kind === 'update')
      writes.push(...registersIn(operand));
    if (kind !== 'write' && kind !== 'writePredicate') reads.push(...registersIn(operand));
  });
  if (takesCarry(instruction.op)) reads.push(carryFlag);
  if (instruction.modifiers.carry !== undefined) writes.push(carryFlag);
  if (instruction.guard !== undefined) reads.push(instruction.guard.register, ...writes);
  return { reads, writes };
}

/** Whether what was carried before is added, or taken away. */
export function takesCarry(op: OpName): boolean {
  return op === 'addc' || op === 'subc' || op === 'madc';
}

export function registersIn(operand: Operand): readonly Register[] {
  switch (operand.kind) {
    case 'register':
    case 'not':
      return [operand.register];
    case 'vector':
      return operand.elements.flatMap(registersIn);
    case 'pair':
      return [...registersIn(operand.first), ...registersIn(operand.second)];
    case 'address': {
      const { base } = operand;
      return [...(base?.kind === 'register' ? [base] : []), ...operand.coordinates.flatMap(registersIn)];
    }
    case 'special':
    case 'integer':
    case 'float':
    case 'symbol':
    case 'sink':
    case 'name':
    case 'arguments':
      return [];
  }
}

function instructionsOf(step: Step): readonly Instruction[] {
  if (step.kind === 'lanes') return step.instructions;
  return step.instruction === undefined ? [] : [step.instruction];
}

function endGuard(step: Step): Guard | undefined {
  return step.kind === 'lanes' && step.end.kind !== 'next' ? step.end.guard : undefined;
}

/** What a step reads before it writes it, and what it writes for all its lanes. */
function ownUses(step: Step): {
  readonly reads: ReadonlySet<Register>;
  readonly writes: ReadonlySet<Register>;
} {
  const reads = new Set<Register>();
  const writes = new Set<Register>();
  for (const instruction of instructionsOf(step)) {
    const uses = usesOf(instruction);
    for (const register of uses.reads) if (!writes.has(register)) reads.add(register);
    for (const register of uses.writes) writes.add(register);
  }
  const guard = endGuard(step);
  if (guard !== undefined && !writes.has(guard.register)) reads.add(guard.register);
  return { reads, writes };
}

export function followers(step: Step, place: number): readonly number[] {
  switch (step.kind) {
    case 'warp':
    // What is called has registers of its own, and comes back.
    case 'call':
      return [place + 1];
    case 'return':
      return step.instruction?.guard === undefined ? [] : [place + 1];
    case 'switch':
      return step.instruction.guard === undefined ? step.targets : [...step.targets, place + 1];
  }
  switch (step.end.kind) {
    case 'next':
      return [place + 1];
    case 'branch':
      return step.end.guard === undefined ? [step.end.target] : [step.end.target, place + 1];
    case 'exit':
      return step.end.guard === undefined ? [] : [place + 1];
  }
}

export interface Liveness {
  /** Of each step, the registers that must be there before it. */
  readonly before: readonly ReadonlySet<Register>[];
  /** And those that somebody reads after it. */
  readonly after: readonly ReadonlySet<Register>[];
}

/** The usual backward analysis, until nothing changes. */
export function livenessOf(steps: readonly Step[]): Liveness {
  const own = steps.map(ownUses);
  const before = own.map(({ reads }) => new Set(reads));
  const after = steps.map(() => new Set<Register>());
  const leadsTo: number[][] = steps.map(() => []);
  steps.forEach((step, place) => {
    for (const next of followers(step, place)) leadsTo[next]?.push(place);
  });
  // Taken from the end, as most steps lead forward.
  const pending = [...steps.keys()];
  const isPending = steps.map(() => true);
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    isPending[place] = false;
    const size = before[place]!.size;
    for (const next of followers(steps[place]!, place))
      for (const register of before[next] ?? []) after[place]!.add(register);
    for (const register of after[place]!) if (!own[place]!.writes.has(register)) before[place]!.add(register);
    if (before[place]!.size === size) continue;
    for (const earlier of leadsTo[place]!) {
      if (!isPending[earlier]) pending.push(earlier);
      isPending[earlier] = true;
    }
  }
  return { before, after };
}
