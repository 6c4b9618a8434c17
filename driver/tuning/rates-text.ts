import type { Rates } from '../../compiler/tiles/device-rates.ts';

/** Floating-point operations of a multiply-add of a vector. */
const flops = 8;

/** For people: the rate of multiply-adds, and all else beside one. */
export function ratesText({ invocations, arithmetic, ...others }: Rates): string {
  const gigaflops = (invocations * flops) / arithmetic / 1e9;
  const costs = Object.entries(others).map(([what, seconds]) => `${what} ${rounded(seconds / arithmetic)}`);
  const rate = `${rounded(gigaflops)} GFLOP/s of multiply-adds, ${rounded(invocations)} at once`;
  return `${rate}; in multiply-adds: ${costs.join(', ')}`;
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}
