// Generated from moe.ricci by `ricci declare`.
import type { Given, Tensor } from 'ricci';

export interface Entries {
  /** A batch: one grouped matrix product for each of the three weights, over the experts that were chosen. */
  layer<T extends number, D extends number, E extends number, F extends number>(
    inputs: {
      x: Given<'bf16', readonly [T, D]>;
      router: Given<'f32', readonly [NoInfer<D>, E]>;
      experts: {
        gate: Given<'bf16', readonly [NoInfer<E>, NoInfer<D>, F]>;
        up: Given<'bf16', readonly [NoInfer<E>, NoInfer<D>, NoInfer<F>]>;
        down: Given<'bf16', readonly [NoInfer<E>, NoInfer<F>, NoInfer<D>]>;
      };
    },
    sizes: {
      K: number;
      readonly [size: string]: number;
    },
  ): Promise<{
    out: Tensor<'bf16', readonly [T, D]>;
  }>;
}
