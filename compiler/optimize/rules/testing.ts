/** For tests: whether a rewrite rule is sound, found on random instances of what it matches. */
import fc from 'fast-check';
import type { Algebra, Storage, TensorValue } from '../../graph/algebra.ts';
import { readTape } from '../../graph/choice-tape.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { type FieldValue, finiteField } from '../../graph/finite-field.ts';
import { float32 } from '../../graph/float32.ts';
import type { Arithmetic, ComputeNode, Graph, Scalar, TensorId } from '../../graph/graph.ts';
import { printScalar } from '../../graph/print.ts';
import { scalarType } from '../../graph/scalar.ts';
import { isFloat } from '../../graph/tensor-type.ts';
import { createInterner } from '../expressions/interner.ts';
import { rangeAnalysis } from '../expressions/ranges.ts';
import { applyRule } from './match.ts';
import { extents, instanceInputs, instanceTensors, randomInstance } from './random-instance.ts';
import type { Rule } from './rule.ts';

export const bounds = { extents, loops: new Map() };

/** The values of expressions of one type at every point of the axes, in f32 arithmetic. */
export function valuesOf(scalars: readonly Scalar[]): readonly number[][] {
  return outputsOf(scalars, instanceInputs, float32).map((data) => Array.from(data as Storage<number>));
}

/** The values of expressions of one type at every point of the axes. */
function outputsOf<V>(
  scalars: readonly Scalar[],
  inputs: ReadonlyMap<TensorId, TensorValue<V>>,
  algebra: Algebra<V>,
): readonly TensorValue<V>['data'][] {
  const results = scalars.map((scalar, position) => ({
    id: instanceTensors.length + position,
    name: `y${position}`,
    dtype: scalarType(scalar),
    shape: extents,
  }));
  const nodes = scalars.map((body, position): ComputeNode => {
    return { kind: 'compute', result: results[position]!, body, reduce: undefined, grouped: undefined };
  });
  const graph: Graph = {
    name: 'instance',
    inputs: instanceTensors.map((tensor) => ({ path: tensor.name, tensor })),
    nodes,
    outputs: results.map(({ id, name }) => ({ path: name, tensor: id })),
  };
  const outputs = evaluateGraph(graph, inputs, algebra);
  return results.map(({ name }) => outputs.get(name)!.data);
}

/** The same up to the sign of a zero and the payload of a NaN. */
function areSame(left: number, right: number): boolean {
  return left === right || (Number.isNaN(left) && Number.isNaN(right));
}

export function difference(before: Scalar, after: Scalar): string | undefined {
  if (scalarType(before) !== scalarType(after))
    return `${printScalar(before)} becomes a ${scalarType(after)}: ${printScalar(after)}`;
  const [left, right] = valuesOf([before, after]);
  const point = left!.findIndex((element, position) => !areSame(element, right![position]!));
  if (point === -1) return undefined;
  return `${printScalar(before)} is ${left![point]}, but ${printScalar(after)} is ${right![point]}`;
}

/** Of the inputs in a finite field. */
function fieldInputs(field: Algebra<FieldValue>): ReadonlyMap<TensorId, TensorValue<FieldValue>> {
  return new Map(
    [...instanceInputs].map(([id, value]) => {
      const data = isFloat(value) ? Array.from(value.data as Storage<number>, field.constant) : value.data;
      return [id, { ...value, data: data as Storage<FieldValue> }];
    }),
  );
}

/** In a finite field, where nothing is rounded but no identity is missed either. */
function exactDifference(before: Scalar, after: Scalar): string | undefined {
  const field = finiteField();
  const [left, right] = outputsOf([before, after], fieldInputs(field), field);
  for (let point = 0; point < left!.length; point++) {
    const [one, other] = [left![point]!, right![point]!];
    const isNumber = typeof one === 'number' || typeof other === 'number';
    const relation = isNumber ? (one === other ? 'equal' : 'different') : field.relation(one, other);
    if (relation === 'different' && field.notes.unsure === 0)
      return `${printScalar(before)} is ${JSON.stringify(one)}, but ${printScalar(after)} is ${JSON.stringify(other)}`;
  }
  return undefined;
}

export const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 60, maxLength: 60 });
export const mostInstances = 3000;

let sampled: readonly (readonly number[])[] | undefined;

/** The same for all rules. */
function sampledTapes(): readonly (readonly number[])[] {
  sampled ??= fc.sample(tapes, { numRuns: mostInstances, seed: fc.readConfigureGlobal().seed ?? 1 });
  return sampled;
}

export interface Verdict {
  readonly firings: number;
  readonly fault: string | undefined;
}

/** Tries instances of the rule with operands of `type` until one is unsound or enough of them were not. */
export function tryRule(rule: Rule, type: Arithmetic, enough: number, most = mostInstances): Verdict {
  let firings = 0;
  for (const tape of sampledTapes().slice(0, most)) {
    const interner = createInterner();
    const before = interner.intern(randomInstance(rule, type, readTape(tape)));
    const after = applyRule(rule, before, { interner, range: rangeAnalysis(bounds) });
    if (after === undefined) continue;
    const fault = difference(before, after) ?? exactDifference(before, after);
    firings++;
    if (fault !== undefined || firings === enough) return { firings, fault };
  }
  return { firings, fault: undefined };
}
