/** Functions that PTX declares only, and that CUDA brings along: `printf` and `assert`. */
import type { Instruction } from '../ptx.ts';
import type { Machine, Warp } from './machine.ts';
import { formatText } from './print-format.ts';

/** Gives the bits of the result. @param given the arguments' bits, those of addresses generic. */
type Builtin = (
  machine: Machine,
  warp: Warp,
  lane: number,
  given: readonly bigint[],
  instruction: Instruction,
) => bigint;

/** Longer texts are no texts. */
const mostCharacters = 4096;

/** Up to the zero at the end. */
function textAt(
  machine: Machine,
  warp: Warp,
  lane: number,
  address: bigint,
  instruction: Instruction,
): string {
  const bytes: number[] = [];
  for (let at = address; bytes.length < mostCharacters; at++) {
    const byte = Number(machine.readGeneric(warp, lane, at, 1, instruction));
    if (byte === 0) break;
    bytes.push(byte);
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** Arguments lie one after the other, each at a multiple of its size. */
const print: Builtin = (machine, warp, lane, [format = 0n, list = 0n], instruction) => {
  const text = (address: bigint): string => textAt(machine, warp, lane, address, instruction);
  let place = list;
  let count = 0n;
  const next = (bytes: 4 | 8): bigint => {
    const size = BigInt(bytes);
    place = ((place + size - 1n) / size) * size;
    const value = machine.readGeneric(warp, lane, place, bytes, instruction);
    place += size;
    count++;
    return value;
  };
  machine.print(formatText(text(format), next, text));
  return count;
};

const failAssertion: Builtin = (machine, warp, lane, [what, file, line, name], instruction) => {
  const text = (address = 0n): string =>
    address === 0n ? '?' : textAt(machine, warp, lane, address, instruction);
  const where = `${text(file)}:${BigInt.asUintN(32, line ?? 0n)}, in ${text(name)}`;
  throw machine.fault('trap', `fails the assertion ${text(what)} (${where})`, warp, lane, instruction);
};

export const builtins: { readonly [name: string]: Builtin | undefined } = {
  vprintf: print,
  __assertfail: failAssertion,
};
