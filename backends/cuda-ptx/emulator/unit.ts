/** The code that is the same for all kernels: races, pieces and products of matrices, over a memory. */
import type { FunctionCode, ImportedFunction } from '../../wasm/code.ts';
import { encodeModule } from '../../wasm/encode.ts';
import { hasFusedMultiplyAdd } from './fused.ts';
import { globalRaceFunctions } from './global-race-code.ts';
import { type FactorType, factorTypes, matrixFunctions } from './matrix-code.ts';
import { pieceFunctions } from './piece-code.ts';
import { raceFunctions } from './race-code.ts';

type Run = (...operands: number[]) => void;
type Compute = (...operands: number[]) => number;
type ByType<T extends FactorType = FactorType> = { readonly [F in T]: Run };

/** Operands are described where the functions are written. */
export interface Unit {
  readonly noteRead: Run;
  readonly noteWrite: Run;
  readonly firstUnwritten: Compute;
  readonly setStates: Run;
  readonly noteReads: Run;
  readonly noteWrites: Run;
  readonly writesOf: Compute;
  readonly negate: Run;
  readonly fence: Run;
  readonly decodeRows: ByType;
  readonly decodeTurned: ByType<'f16' | 'bf16'>;
  readonly multiply: ByType;
  readonly multiplyTurned: ByType<'f16' | 'bf16'>;
  /** What the code of kernels calls. */
  readonly forKernels: Readonly<Record<string, unknown>>;
}

const imports: readonly ImportedFunction[] = [
  { name: 'raceFault', parameters: ['i32', 'i32', 'i32', 'i32', 'i32'], result: undefined },
  { name: 'globalRace', parameters: ['i32', 'i32', 'i32', 'i32'], result: undefined },
];

let compiled: WebAssembly.Module | undefined;

function functionsOfUnit(): readonly FunctionCode[] {
  return [
    ...raceFunctions(),
    ...globalRaceFunctions(),
    ...pieceFunctions(),
    ...matrixFunctions(hasFusedMultiplyAdd()),
  ];
}

/** @param onRace throws; @param onGlobalUse throws where nothing orders it after another. */
export function createUnit(memory: WebAssembly.Memory, onRace: Run, onGlobalUse: Run): Unit {
  compiled ??= new WebAssembly.Module(encodeModule({ imports, functions: functionsOfUnit() }));
  const runtime = { memory, raceFault: onRace, globalRace: onGlobalUse };
  const { exports } = new WebAssembly.Instance(compiled, { runtime });
  const all = exports as { readonly [name: string]: (...operands: number[]) => number };
  const find = (name: string): Compute => all[name]!;
  const byType = <T extends FactorType>(name: string, types: readonly T[]): ByType<T> =>
    Object.fromEntries(types.map((type) => [type, find(`${name}_${type}`)])) as unknown as ByType<T>;
  const halves = ['f16', 'bf16'] as const;
  return {
    ...{ noteRead: find('noteRead'), noteWrite: find('noteWrite') },
    ...{ noteReads: find('noteReads'), noteWrites: find('noteWrites'), writesOf: find('writesOf') },
    ...{ firstUnwritten: find('firstUnwritten'), setStates: find('setStates') },
    ...{ negate: find('negate'), fence: find('fence') },
    decodeRows: byType('decodeRows', factorTypes),
    decodeTurned: byType('decodeTurned', halves),
    multiply: byType('multiply', factorTypes),
    multiplyTurned: byType('multiplyTurned', halves),
    forKernels: exports,
  };
}
