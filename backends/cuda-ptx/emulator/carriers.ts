/**
 * Registers that only carry bytes from memory to memory. So nvcc copies a structure with what lies between
 * its fields, which nobody need have written: such a byte is as unwritten where it comes to as where it was.
 */
import type { Instruction, Operand, Register } from '../ptx.ts';
import { bytesOf } from '../ptx-types.ts';
import type { Step } from './steps.ts';
import { registersIn, usesOf } from './uses.ts';

interface Carried {
  readonly from: Set<string>;
  readonly to: Set<string>;
  readonly sizes: Set<number>;
}

/**
 * Those that loads of at most four bytes write, and nothing but stores of as many reads. What comes into a
 * buffer is a result, which must have been written, but for single bytes of buffers: they are not among them.
 */
export function carriersAmong(steps: readonly Step[]): ReadonlySet<Register> {
  const carried = new Map<Register, Carried>();
  const others = new Set<Register>();
  const vectors: { readonly elements: number; readonly registers: readonly Register[] }[] = [];
  const noteOthers = (instruction: Instruction): void => {
    const { reads, writes } = usesOf(instruction);
    for (const register of [...reads, ...writes]) others.add(register);
  };
  const note = (value: Operand, side: 'from' | 'to', space: string, size: number): void => {
    for (const register of registersIn(value)) {
      const known = carried.get(register) ?? { from: new Set(), to: new Set(), sizes: new Set() };
      carried.set(register, known);
      known[side].add(space);
      known.sizes.add(size);
    }
  };
  for (const step of steps) {
    if (step.kind !== 'lanes') {
      if (step.instruction !== undefined) noteOthers(step.instruction);
      continue;
    }
    for (const instruction of step.instructions) {
      const { op, operands, guard, modifiers, types } = instruction;
      const size = op === 'ld' || op === 'st' ? bytesOf(types[0]!) : 8;
      if (size > 4 || guard !== undefined) noteOthers(instruction);
      else {
        const [place, value] = op === 'ld' ? [operands[1]!, operands[0]!] : [operands[0]!, operands[1]!];
        note(value, op === 'ld' ? 'from' : 'to', modifiers.space ?? 'generic', size);
        vectors.push({
          elements: value.kind === 'vector' ? value.elements.length : 1,
          registers: registersIn(value),
        });
        for (const register of registersIn(place)) others.add(register);
      }
    }
    if (step.end.kind !== 'next' && step.end.guard !== undefined) others.add(step.end.guard.register);
  }
  const isCarrier = ([register, { from, to, sizes }]: readonly [Register, Carried]): boolean => {
    if (others.has(register) || from.size === 0 || to.size === 0 || sizes.size > 1) return false;
    if (sizes.has(1)) return !to.has('global') || [...from].every((space) => space === 'global');
    return !to.has('global') && !to.has('generic');
  };
  const all = new Set([...carried].filter(isCarrier).map(([register]) => register));
  // Of a vector all are, or none.
  let isWhole = false;
  while (!isWhole) {
    isWhole = true;
    for (const { elements, registers } of vectors)
      if (registers.length < elements || !registers.every((each) => all.has(each)))
        for (const each of registers) if (all.delete(each)) isWhole = false;
  }
  return all;
}
