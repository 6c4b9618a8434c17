/** Runs a kernel of a PTX module once, with arguments that are numbers and bytes of the host. */
import type { PtxModule, Variable } from '../ptx.ts';
import { bytesOf, ptxTypes } from '../ptx-types.ts';
import { compiledModule } from './compiled.ts';
import {
  EmulatedDevice,
  type LaunchCounts,
  LaunchError,
  type LaunchOptions,
  type LaunchShape,
  LostThread,
  placeOf,
} from './device.ts';
import { narrow } from './soft-float.ts';
import { encodeTensorMap, mapProblem, type TensorMap, tensorMapBytes } from './tensor-map.ts';

export type { Extent } from './grid-plan.ts';
export { type LaunchCounts, LaunchError, LostThread };

/** What a parameter is given. */
export type Argument =
  /** Of the parameter's own type. */
  | { readonly kind: 'number'; readonly value: number | bigint }
  /** A pointer to these bytes, which hold after the run what the kernel left there. */
  | {
      readonly kind: 'buffer';
      readonly name: string;
      readonly bytes: Uint8Array;
      /** Whether they are there for the kernel to read: else it must write them first. */
      readonly isWritten: boolean;
    }
  /** Of a structure. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** About a buffer that another argument is or that this one brings along. */
  | { readonly kind: 'tensorMap'; readonly name: string; readonly map: TensorMap };

export interface Launch extends LaunchShape, LaunchOptions {
  readonly module: PtxModule;
  readonly kernel: string;
  /** Two arguments with the same bytes are two pointers to one buffer. */
  readonly arguments: readonly Argument[];
}

/** Nothing of a launch is left in it for the next. */
let device: EmulatedDevice | undefined;

/** @throws PtxError, LaunchError, EmulatorFault or LostThread. */
export function launch(given: Launch): LaunchCounts {
  device ??= new EmulatedDevice();
  const own = device;
  const addresses: bigint[] = [];
  const place = (bytes: Uint8Array, name: string, isWritten: boolean): bigint => {
    const address = own.allocate(bytes.byteLength, name);
    addresses.push(address);
    if (isWritten) own.write(address, bytes);
    return address;
  };
  let unload = (): void => {};
  try {
    const contents = new Map<Uint8Array, Content>();
    for (const argument of given.arguments) {
      const content = contentOf(argument);
      if (content === undefined) continue;
      // A map brings what is in its buffer, unless the buffer is an argument itself.
      if (argument.kind === 'buffer' || !contents.has(content.bytes)) contents.set(content.bytes, content);
    }
    const places = new Map(
      [...contents].map(([bytes, { name, isWritten }]) => [bytes, place(bytes, name, isWritten)]),
    );
    const parameters = bytesOfArguments(given.module, given.kernel, given.arguments, {
      addressOf: (bytes) => places.get(bytes)!,
      place: (bytes) => place(bytes, 'a tensor map', true),
    });
    const module = own.load(given.module);
    unload = () => module.unload();
    const counts = module.kernel(given.kernel).launch(given, parameters, given);
    for (const [bytes, address] of places) own.read(address, bytes);
    return counts;
  } finally {
    unload();
    for (const address of addresses) own.free(address);
  }
}

interface Content {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isWritten: boolean;
}

/** The buffer that an argument is, or is about. */
function contentOf(argument: Argument): Content | undefined {
  if (argument.kind === 'buffer') return argument;
  if (argument.kind !== 'tensorMap') return undefined;
  return { name: argument.name, bytes: argument.map.buffer, isWritten: true };
}

/** Where what arguments point to is. */
export interface Places {
  readonly addressOf: (bytes: Uint8Array) => bigint;
  /** Of bytes that only the kernel uses. */
  readonly place: (bytes: Uint8Array) => bigint;
}

/** As the kernel finds them, one behind the other. @throws PtxError, LaunchError. */
export function bytesOfArguments(
  module: PtxModule,
  kernel: string,
  given: readonly Argument[],
  { addressOf, place }: Places,
): Uint8Array {
  const { entry, offsets } = compiledModule(module).needs(kernel);
  const { name, parameters } = entry;
  if (parameters.length !== given.length)
    throw new LaunchError(`${name} takes ${parameters.length} arguments, and ${given.length} are given`);
  const last = parameters.at(-1);
  const all = new Uint8Array(last === undefined ? 0 : offsets.get(last)! + last.bytes);
  for (const [at, argument] of given.entries()) {
    const parameter = parameters[at]!;
    const refuse = (what: string): LaunchError => new LaunchError(`argument ${at + 1} of ${name} ${what}`);
    all.set(bytesOfArgument(argument, parameter, { addressOf, place }, refuse), offsets.get(parameter)!);
  }
  return all;
}

function bytesOfArgument(
  argument: Argument,
  parameter: Variable,
  { addressOf, place }: Places,
  refuse: (what: string) => LaunchError,
): Uint8Array {
  switch (argument.kind) {
    case 'buffer':
      if (parameter.bytes !== 8) throw refuse(`has ${parameter.bytes} bytes, and a pointer 8`);
      return bytesOfBits(addressOf(argument.bytes), 8);
    case 'tensorMap': {
      const problem = mapProblem(argument.map, bytesOf(argument.map.type));
      if (problem !== undefined) throw refuse(`is a tensor map that cannot be: ${problem}`);
      const map = encodeTensorMap({ ...argument.map, start: placeOf(addressOf(argument.map.buffer)) });
      if (parameter.bytes === tensorMapBytes) return map;
      if (parameter.bytes === 8) return bytesOfBits(place(map), 8);
      throw refuse(`has ${parameter.bytes} bytes, and a tensor map ${tensorMapBytes}, or 8 as a pointer`);
    }
    case 'bytes':
      if (argument.bytes.byteLength !== parameter.bytes)
        throw refuse(`has ${parameter.bytes} bytes, not ${argument.bytes.byteLength}`);
      return argument.bytes;
    case 'number': {
      if (parameter.bytes !== bytesOf(parameter.type))
        throw refuse(`is a structure of ${parameter.bytes} bytes, and ${argument.value} is one number`);
      const bits = bitsOfNumber(argument.value, parameter);
      if (bits === undefined) throw refuse(`is .${parameter.type}, which has no value ${argument.value}`);
      return bytesOfBits(bits, parameter.bytes);
    }
  }
}

function bytesOfBits(bits: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, byte) => Number((bits >> BigInt(8 * byte)) & 255n));
}

function bitsOfNumber(value: number | bigint, { type, bytes }: Variable): bigint | undefined {
  if (ptxTypes[type].class === 'float') {
    if (type === 'f16' || type === 'bf16' || type === 'f32' || type === 'f64')
      return narrow(Number(value), { format: type, rounding: 'rn', saturates: false, relu: false });
    return undefined;
  }
  if (bytes > 8 || (typeof value === 'number' && !Number.isInteger(value))) return undefined;
  const whole = BigInt(value);
  const bits = BigInt(8 * bytes);
  return whole < -(1n << (bits - 1n)) || whole >= 1n << bits ? undefined : BigInt.asUintN(8 * bytes, whole);
}
