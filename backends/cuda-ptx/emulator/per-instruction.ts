/** What is found out of an instruction once, for a kernel: where its registers are, which tables it needs. */
import type { Instruction } from '../ptx.ts';
import type { Kernel } from './kernel.ts';

export class PerInstruction<T> {
  private readonly known = new WeakMap<Kernel, Map<Instruction, T>>();

  of(kernel: Kernel, instruction: Instruction, make: () => T): T {
    let ofKernel = this.known.get(kernel);
    if (ofKernel === undefined) {
      ofKernel = new Map();
      this.known.set(kernel, ofKernel);
    }
    let found = ofKernel.get(instruction);
    if (found === undefined) {
      found = make();
      ofKernel.set(instruction, found);
    }
    return found;
  }
}
