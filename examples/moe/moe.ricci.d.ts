// Generated from moe.ricci by `ricci declare`.
import type { Tensor } from 'ricci';

export interface Entries {
  /** A batch: one grouped matrix product for each of the three weights, over the experts that were chosen. */
  layer<T extends number, D extends number, E extends number, F extends number>(
    inputs: {
      x: Tensor<'bf16', readonly [T, D]>;
      router: Tensor<'f32', readonly [NoInfer<D>, E]>;
      experts: {
        gate: Tensor<'bf16', readonly [NoInfer<E>, NoInfer<D>, F]>;
        up: Tensor<'bf16', readonly [NoInfer<E>, NoInfer<D>, NoInfer<F>]>;
        down: Tensor<'bf16', readonly [NoInfer<E>, NoInfer<F>, NoInfer<D>]>;
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
