/** Whether this engine's `relaxed_madd` rounds once: found out by trying. */
import { setFlagsFromString } from 'node:v8';
import { encodeModule } from '../../wasm/encode.ts';
import { doubles, floats, laneOf, run } from './code-text.ts';

let found: boolean | undefined;

export function hasFusedMultiplyAdd(): boolean {
  found ??= tryIt();
  return found;
}

function tryIt(): boolean {
  // (1 + e)² = 1 + 2e + e², of which e² is lost where the product is rounded by itself.
  const [e, d] = [2 ** -12 + 2 ** -23, 2 ** -27 + 2 ** -52];
  const single = run('f32x4.relaxed_madd', floats(1 + e), floats(1 + e), floats(-1 - 2 * e));
  const double = run('f64x2.relaxed_madd', doubles(1 + d), doubles(1 + d), doubles(-1 - 2 * d));
  const code = encodeModule({
    functions: [
      {
        ...{ name: 'single', parameters: [], locals: [], body: [], exported: true },
        result: run('f64.promote_f32', laneOf('f32x4.extract_lane', single, 0)),
      },
      {
        ...{ name: 'double', parameters: [], locals: [], body: [], exported: true },
        result: laneOf('f64x2.extract_lane', double, 0),
      },
    ],
  });
  // V8 of Node 20 has relaxed SIMD behind a flag; later versions need none and may not know it.
  if (!WebAssembly.validate(code)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  if (!WebAssembly.validate(code)) return false;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { runtime: { memory } });
  const value = (name: string): number => (exports[name] as () => number)();
  return value('single') === Math.fround(e * e) && value('double') === d * d;
}
