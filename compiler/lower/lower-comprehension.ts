/**
 * Comprehensions stay values; a reduction becomes a node over exactly the index variables that it depends on.
 */

import type { ReductionName } from '../../dsl/syntax/tree.ts';
import type { IndexGroup } from '../../dsl/types/typed.ts';
import type { Combiner } from '../graph/graph.ts';
import { apply, float, iterator } from '../graph/scalar.ts';
import type { Reduction } from './graph-builder.ts';
import type { Typed } from './lower-expression.ts';
import { type Lowering, type Scope, sizeOf } from './lowering.ts';
import { type Axis, mapLeaves, type Value } from './value.ts';

export function lowerComprehension(
  expression: Typed<'comprehension'>,
  scope: Scope,
  lowering: Lowering,
): Value {
  const { builder } = lowering;
  // Inside, each part of a product dimension is an index variable of its own.
  const groups = expression.groups.map((group) => bindGroup(group, scope, lowering));
  const body = lowering.lower(expression.body, scope);
  return mapLeaves(body, (leaf) => {
    const axes = groups.map((parts) => {
      const factors = parts.map((part) => part.extent);
      return builder.axis(
        factors.reduce((product, factor) => product * factor, 1),
        factors,
      );
    });
    const replaced = groups.flatMap((parts, position) => {
      const index = iterator(axes[position]!.iterator);
      const values = builder.arithmetic.split(index, axes[position]!.factors);
      return parts.map((part, i) => [part.iterator, values[i]!] as const);
    });
    return {
      kind: 'tensor',
      axes: [...axes, ...leaf.axes],
      body: builder.substitute(leaf.body, new Map(replaced)),
    };
  });
}

function bindGroup(group: IndexGroup, scope: Scope, lowering: Lowering): readonly Axis[] {
  return group.map((index) => {
    const axis = lowering.builder.axis(sizeOf(index.range, scope));
    scope.indices.set(index.id, iterator(axis.iterator));
    return axis;
  });
}

const combiners: { readonly [R in ReductionName]: Combiner } = {
  sum: 'sum',
  prod: 'prod',
  max: 'max',
  min: 'min',
  mean: 'sum',
  any: 'any',
  all: 'all',
  argmax: 'argmax',
  argmin: 'argmin',
};

export function lowerReduction(expression: Typed<'reduction'>, scope: Scope, lowering: Lowering): Value {
  const indices = expression.groups.flatMap((group) => bindGroup(group, scope, lowering));
  const count = indices.reduce((product, index) => product * index.extent, 1);
  const reduction: Reduction = {
    combiner: combiners[expression.reduction],
    iterators: indices.map((index) => index.iterator),
    ...(expression.reduction === 'mean' ? { finish: (sum) => apply('div', sum, float(count)) } : {}),
  };
  const body = lowering.lower(expression.body, scope);
  return mapLeaves(
    body,
    (leaf) => lowering.builder.store(leaf, { name: expression.reduction, reduction }).value,
  );
}
