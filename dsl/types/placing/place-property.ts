/** Where the sides of checks live: each as it comes, so that two may live in different places. */
import type { BodySignature } from '../scope.ts';
import type { Dim, PropertyInfo, Type, TypedExpression } from '../typed.ts';
import { dimsOf, withDims } from '../types.ts';
import { type PlacementCheck, placeBody } from './check-placement.ts';
import { axesOfCut, type PlacedTensor, type PlacedValue, tensorsIn } from './placed-value.ts';
import { requirePlacement } from './required.ts';

/**
 * The property with a result that says where its sides live. Reports what is wrong on the way there, and
 * records of which the type cannot say it.
 */
export function placeProperty(
  property: PropertyInfo,
  signature: Pick<BodySignature, 'declaration'>,
  check: PlacementCheck,
): PropertyInfo {
  const info = property.function;
  const { placing, scope, result } = placeBody(info, signature, check);
  const type = placedType(info.result, result);
  const sides = withinLets(info.body);
  if (result.kind === 'tuple' && type.kind === 'tuple' && sides.kind === 'tuple') {
    for (const [position, { span }] of sides.elements.entries()) {
      const meeting = { placing, scope, span };
      const [side, wanted] = [result.elements[position]!, type.elements[position]!];
      requirePlacement(meeting, 'a side of a check', side, wanted, 'whole');
    }
  }
  for (const used of placing.together) placing.judge(used);
  return { ...property, function: { ...info, result: type } };
}

function withinLets(body: TypedExpression): TypedExpression {
  let inner = body;
  while (inner.kind === 'let') inner = inner.body;
  return inner;
}

function placedType(type: Type, value: PlacedValue): Type {
  switch (value.kind) {
    case 'unknown':
      return type;
    case 'tuple':
      if (type.kind !== 'tuple') return type;
      return { ...type, elements: type.elements.map((part, i) => placedType(part, value.elements[i]!)) };
    case 'record': {
      // The dimensions of an array of records lead those of each field.
      const [first] = tensorsIn(value);
      return first === undefined ? type : withCuts(type, first);
    }
    case 'tensor': {
      const placed = withCuts(type, value);
      const pending = [...value.pending].map(([axis, { combiner }]) => ({ axis, combiner }));
      return placed.kind === 'tensor' && pending.length > 0 ? { ...placed, pending } : placed;
    }
  }
}

function withCuts(type: Type, { cuts }: PlacedTensor): Type {
  const dims = dimsOf(type).map((dim, position): Dim => {
    const axes = axesOfCut(cuts[position] ?? []);
    return axes.length === 0 ? dim : { ...dim, placement: { kind: 'axes', axes } };
  });
  return withDims(type, dims);
}
