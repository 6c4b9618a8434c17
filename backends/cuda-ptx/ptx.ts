/** PTX as data: what the parser makes of a text, with names resolved and modifiers told apart. */
import type { ModifierGroup, OpName } from './instructions.ts';
import type { PtxType } from './ptx-types.ts';

/** In the PTX text, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** By `.loc`: where in the program from which the PTX was made. `file` is the number that `.file` gives. */
export interface SourcePlace {
  readonly file: number;
  readonly line: number;
  /** Where functions are in place of their calls: the outermost call. */
  readonly caller?: { readonly file: number; readonly line: number };
}

export interface Register {
  readonly kind: 'register';
  readonly name: string;
  readonly type: PtxType;
}

/** The carry flag, which `.cc` writes and `addc`, `subc` and `madc` read: one of a thread. */
export const carryFlag: Register = { kind: 'register', name: 'the carry flag', type: 'pred' };

/** `code` is where functions are: a function is named as a variable of no bytes. */
export type VariableSpace = 'param' | 'shared' | 'local' | 'global' | 'const' | 'code';

/** A named piece of memory. */
export interface Variable {
  readonly kind: 'variable';
  readonly name: string;
  readonly space: VariableSpace;
  readonly type: PtxType;
  readonly alignment: number;
  /** 0 where the launch says how many: `.extern .shared .b8 smem[]`. */
  readonly bytes: number;
  /** What is there at first, one a piece of the type's size; zeros behind it. */
  readonly initial?: readonly Initial[];
}

/** A number by its bits, or the address of a variable. */
export type Initial = { readonly bits: bigint } | { readonly symbol: string; readonly offset: number };

export type Operand =
  | { readonly kind: 'register'; readonly register: Register }
  /** `%tid.x` */
  | { readonly kind: 'special'; readonly name: SpecialName }
  | { readonly kind: 'integer'; readonly value: bigint }
  /** `0f3F800000`, `0d3FF0000000000000`: the bits. */
  | { readonly kind: 'float'; readonly bits: bigint; readonly width: 32 | 64 }
  /** The address of a variable, as a number. */
  | { readonly kind: 'symbol'; readonly variable: Variable; readonly offset: number }
  | {
      readonly kind: 'address';
      /** Nothing: the offset is the whole address. */
      readonly base: Register | Variable | undefined;
      readonly offset: number;
      /** Of a tensor map: `[map, {x, y}]`. */
      readonly coordinates: readonly Operand[];
    }
  | { readonly kind: 'vector'; readonly elements: readonly Operand[] }
  /** `d|p`: two results. */
  | { readonly kind: 'pair'; readonly first: Operand; readonly second: Operand }
  | { readonly kind: 'not'; readonly register: Register }
  /** `_`: a result that nobody wants. */
  | { readonly kind: 'sink' }
  /** The target of a branch, or a function. */
  | { readonly kind: 'name'; readonly name: string }
  /** The arguments of a call. */
  | { readonly kind: 'arguments'; readonly variables: readonly Operand[] };

export interface Guard {
  readonly register: Register;
  readonly negated: boolean;
}

export interface Instruction {
  readonly kind: 'instruction';
  readonly op: OpName;
  /** The opcode as written: `ld.global.nc.v4.f32`. */
  readonly text: string;
  readonly guard: Guard | undefined;
  readonly modifiers: { readonly [G in ModifierGroup]?: string };
  readonly types: readonly PtxType[];
  readonly operands: readonly Operand[];
  readonly place: Place;
  readonly source: SourcePlace | undefined;
}

export type Statement = { readonly kind: 'label'; readonly name: string } | Instruction;

export interface PtxFunction {
  readonly name: string;
  readonly isEntry: boolean;
  readonly results: readonly Variable[];
  readonly parameters: readonly Variable[];
  /** Declared inside of it. */
  readonly variables: readonly Variable[];
  /** Nothing for one that is only declared. */
  readonly body: readonly Statement[] | undefined;
  /** Why it has no body, where only who wants to run it is to hear of that. */
  readonly problem: { readonly message: string; readonly place: Place } | undefined;
  /** `.maxntid 128, 1, 1`, `.reqnctapercluster 2`, with their numbers. */
  readonly directives: ReadonlyMap<string, readonly number[]>;
  readonly place: Place;
}

export interface PtxModule {
  readonly version: string;
  readonly target: string;
  readonly files: ReadonlyMap<number, string>;
  readonly variables: readonly Variable[];
  readonly functions: readonly PtxFunction[];
}

const axes = ['x', 'y', 'z'] as const;
const vectors = [
  'tid',
  'ntid',
  'ctaid',
  'nctaid',
  'clusterid',
  'nclusterid',
  'cluster_ctaid',
  'cluster_nctaid',
];
const scalars = [
  ...['laneid', 'warpid', 'nwarpid', 'smid', 'nsmid', 'gridid', 'cluster_ctarank', 'cluster_nctarank'],
  ...['lanemask_eq', 'lanemask_lt', 'lanemask_le', 'lanemask_gt', 'lanemask_ge', 'is_explicit_cluster'],
  ...['clock', 'clock_hi', 'clock64', 'globaltimer', 'globaltimer_lo', 'globaltimer_hi'],
  ...['dynamic_smem_size', 'total_smem_size', 'reserved_smem_offset_begin', 'reserved_smem_offset_end'],
  ...['reserved_smem_offset_cap', 'reserved_smem_offset_0', 'reserved_smem_offset_1'],
  // By which the driver says where the blocks of a cooperative launch meet: the address in two halves.
  ...['envreg1', 'envreg2'],
];

/** Without the `%`: `tid.x`, `laneid`. */
export type SpecialName = string & { readonly special: unique symbol };

const specials: ReadonlySet<string> = new Set([
  ...vectors.flatMap((name) => axes.map((axis) => `${name}.${axis}`)),
  ...scalars,
]);

export function isSpecialName(name: string): name is SpecialName {
  return specials.has(name);
}
