/**
 * Threefry-2x32 with 20 rounds: a counter-based random function (Salmon, Moraes, Dror, Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC'11). Same key and counter, same bits, on every device.
 */

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const rounds = 20;
const keyParity = 0x1bd11bda;

/** Both words of the result, as integers in [0, 2^32). Operands are taken modulo 2^32. */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): readonly [number, number] {
  const keys = [key0, key1, key0 ^ key1 ^ keyParity];
  let first = (counter0 + key0) | 0;
  let second = (counter1 + key1) | 0;
  for (let round = 0; round < rounds; round++) {
    const rotation = rotations[round % rotations.length]!;
    first = (first + second) | 0;
    second = ((second << rotation) | (second >>> (32 - rotation))) ^ first;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      first = (first + keys[injection % 3]!) | 0;
      second = (second + keys[(injection + 1) % 3]! + injection) | 0;
    }
  }
  return [first >>> 0, second >>> 0];
}
