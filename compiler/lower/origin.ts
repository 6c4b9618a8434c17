/** Where in the source the tensors of a graph come from. */
import type { Span } from '../../dsl/diagnostics/diagnostic.ts';
import type { TensorId } from '../graph/graph.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { leaves, type Value } from './value.ts';

export interface Origin {
  /** The innermost expression that made it. */
  readonly span: Span;
  /** The calls that led there, outermost first. */
  readonly calls: readonly Span[];
}

/** What the graph itself does not say of its tensors. Those that no expression makes are in none of these. */
export interface SourceOfTensors {
  readonly origins: ReadonlyMap<TensorId, Origin>;
  /** What the program calls them: `h` of `let h = …`, the first where there are several. */
  readonly names: ReadonlyMap<TensorId, string>;
}

/** Tensors that are made meanwhile come from the expression with this span. */
export function madeAt<T>(builder: GraphBuilder, span: Span, work: () => T): T {
  return builder.within({ span, calls: builder.origin()?.calls ?? [] }, work);
}

/** As `madeAt`, in the body of a function that is called at `call`. */
export function madeInCall<T>(builder: GraphBuilder, call: Span, work: () => T): T {
  return builder.within({ span: call, calls: [...(builder.origin()?.calls ?? []), call] }, work);
}

/** Notes that a value which has tensors of its own is called this. A part of a tensor has no name. */
export function nameTensors(names: Map<TensorId, string>, value: Value, name: string): void {
  for (const { body } of leaves(value))
    if (body.op === 'load' && body.subscripts.every(({ op }) => op === 'iterator') && !names.has(body.tensor))
      names.set(body.tensor, name);
}
