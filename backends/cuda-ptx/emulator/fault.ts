import type { Instruction, Place, SourcePlace } from '../ptx.ts';

export type FaultKind =
  | 'out of bounds'
  | 'misaligned access'
  | 'uninitialised register'
  | 'uninitialised memory'
  | 'race'
  | 'barrier divergence'
  | 'barrier mismatch'
  | 'missing fence'
  | 'missing wait'
  | 'deadlock'
  | 'lanes apart'
  | 'trap'
  | 'stack overflow'
  | 'no end'
  | 'wrong operand';

/** Something that a kernel may not do: what, which thread did it, and where it is written. */
export class EmulatorFault extends Error {
  readonly kind: FaultKind;
  readonly instruction: string | undefined;
  readonly place: Place | undefined;
  readonly source: SourcePlace | undefined;
  readonly by: Instruction | undefined;

  constructor(kind: FaultKind, message: string, instruction: Instruction | undefined) {
    super(message);
    this.name = 'EmulatorFault';
    this.kind = kind;
    this.instruction = instruction?.text;
    this.place = instruction?.place;
    this.source = instruction?.source;
    this.by = instruction;
  }
}
