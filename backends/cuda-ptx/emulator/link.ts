/** The code of a kernel over the memory of a device: what it calls of the host, and what is called of it. */

import { checkGlobalUse, noteSynchronised } from './global-races.ts';
import type { Kernel } from './kernel.ts';
import { stepName } from './kernel.ts';
import { faultKinds } from './lane-writer.ts';
import { header } from './layout.ts';
import { firstLane, type Machine } from './machine.ts';
import type { Memory } from './memory.ts';
import {
  type ExactOperation,
  type FloatFormat,
  narrow,
  operate,
  type Rounding,
  widen,
} from './soft-float.ts';
import { createUnit, type Unit } from './unit.ts';

/** By step; gives which lanes take the branch at its end. */
export type LinkedSteps = readonly ((base: number, mask: number) => number)[];

/** Links each kernel once, and what all of them share. */
export class Linker {
  readonly memory: Memory;
  readonly unit: Unit;
  /** Whose warps run, for the words of faults. */
  running: Machine | undefined;
  private readonly known = new WeakMap<Kernel, LinkedSteps>();

  constructor(memory: Memory) {
    this.memory = memory;
    this.unit = createUnit(
      memory.memory,
      (base, lane, address, number, other) =>
        raceFault(this.running!, base!, lane!, address!, number!, other!),
      (base, address, number, isWrite) => {
        const machine = this.running!;
        const instruction = machine.kernel.instructions[number!]!;
        checkGlobalUse(machine, machine.warpAt(base!), address!, isWrite === 1, instruction);
      },
    );
  }

  link(kernel: Kernel): LinkedSteps {
    const linked = this.known.get(kernel) ?? link(kernel, this);
    this.known.set(kernel, linked);
    return linked;
  }
}

function link(kernel: Kernel, linker: Linker): LinkedSteps {
  const roundings = kernel.roundings.map((text) => text.split(' '));
  const operations = roundings.map(
    ([operation, format, rounding]) =>
      (a: number, b: number, c: number): number =>
        operate(operation as ExactOperation, format as 'f32' | 'f64', rounding as Rounding, a, b, c),
  );
  const narrowings = roundings.map(([, format, rounding, saturates, relu]) => ({
    format: format as FloatFormat,
    rounding: rounding as Rounding,
    saturates: saturates === 'true',
    relu: relu === 'true',
  }));
  const runtime = {
    ...linker.unit.forKernels,
    memory: linker.memory.memory,
    synchronise: (base: number) => noteSynchronised(linker.running!, linker.running!.warpAt(base)),
    fault: (kind: number, number: number, base: number, lanes: number) =>
      accessFault(linker.running!, kind, number, base, lanes),
    operate: (number: number, a: number, b: number, c: number) => operations[number]!(a, b, c),
    narrow: (number: number, value: number) => Number(narrow(value, narrowings[number]!)),
    widen: (number: number, bits: number) => widen(bits, narrowings[number]!.format),
    log2: Math.log2,
    sin: Math.sin,
    cos: Math.cos,
    tanh: Math.tanh,
  };
  const { exports } = new WebAssembly.Instance(kernel.code, { runtime });
  return kernel.needs.steps.map(
    (_, place) => exports[stepName(place)] as (base: number, mask: number) => number,
  );
}

// ── what the code found wrong, as faults with words ────────────────────────────────────────────────────────

function accessFault(machine: Machine, kind: number, number: number, base: number, lanes: number): never {
  const warp = machine.warpAt(base);
  const instruction = machine.kernel.instructions[number]!;
  const lane = firstLane(lanes);
  if (faultKinds[kind] === 'register')
    throw machine.fault(
      'uninitialised register',
      'reads a register that it has not written, or that a product writes which it has not waited for',
      warp,
      lane,
      instruction,
    );
  const address = machine.memory.view.getBigUint64(base + header.badAddress + 8 * (lane % 4), true);
  throw machine.accessFault(warp, lane, address, instruction);
}

function raceFault(
  machine: Machine,
  base: number,
  lane: number,
  address: number,
  number: number,
  other: number,
): never {
  const warp = machine.warpAt(base);
  const offset = address - warp.block.sharedBase;
  const what = `and warp ${other} use byte ${offset} of shared memory, one to write it, with no barrier between`;
  throw machine.fault('race', what, warp, lane, machine.kernel.instructions[number]);
}
