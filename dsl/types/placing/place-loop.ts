/** Loops: every device goes through all steps, and the state lives at one place from step to step. */
import { dimsOf, showName } from '../types.ts';
import { dependenceOf, longerCut, sameCut } from './joins.ts';
import { bindPlaced, type Typed } from './operands.ts';
import { bindIndex } from './place-comprehension.ts';
import {
  axesOfCut,
  type Cut,
  mapTensors,
  type PlacedTensor,
  type PlacedValue,
  tensorsIn,
  unknownValue,
  zipTensors,
} from './placed-value.ts';
import { origins, type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { gatherRemedies, listed, needsWhole, reduceRemedies, report, withRemedies } from './problems.ts';

/** Steps of the search for where the state can stay: each cuts it further, or finds what it depends on. */
const mostRounds = 16;

export function placeLoop(expression: Typed<'loop'>, scope: PlaceScope, placing: Placing): PlacedValue {
  const { item, step, loop } = expression;
  if (item !== undefined) {
    const rows = rowsOf(expression, placing.place(item.sequence, scope), scope, placing);
    if (rows === undefined) return unknownValue;
    bindPlaced(item.pattern, rows, scope);
  }
  bindIndex(step, scope, true);
  const initial = placing.place(expression.initial, scope);
  const { state, body } = carried({ ...expression, what: loop }, initial, scope, placing);
  if (loop === 'fold') return state;
  const collected = body.kind === 'tuple' ? (body.elements[1] ?? unknownValue) : unknownValue;
  const stacked = mapTensors(collected, (tensor) => ({ ...tensor, cuts: [[], ...tensor.cuts] }));
  return { kind: 'tuple', elements: [state, stacked] };
}

/** What carries a state from step to step. */
interface Carrier extends Pick<Typed<'loop'>, 'state' | 'body'> {
  readonly what: 'fold' | 'scan' | 'ring';
}

/**
 * The state at a place where a step leaves it, and what a step gives from there. What a step from less cut
 * states says is not said.
 */
export function carried(
  carrier: Carrier,
  initial: PlacedValue,
  scope: PlaceScope,
  placing: Placing,
): { readonly state: PlacedValue; readonly body: PlacedValue } {
  const first = mapTensors(initial, (tensor) => ({ ...tensor, index: undefined }));
  const state = settled(carrier, first, scope, placing.quietly());
  bindPlaced(carrier.state, state, scope);
  const body = placing.place(carrier.body, scope);
  const final = zipTensors(state, nextState(carrier, body), (before, after) => {
    if (joinedState(before, after) === undefined) {
      reportState(carrier, before, after, scope, placing);
      return unknownValue;
    }
    return before;
  });
  return { state: final, body };
}

/** The first state, cut until a step leaves it where it is. */
function settled(carrier: Carrier, initial: PlacedValue, scope: PlaceScope, trial: Placing): PlacedValue {
  let state = initial;
  for (let round = 0; round < mostRounds; round++) {
    bindPlaced(carrier.state, state, scope);
    const next = nextState(carrier, trial.place(carrier.body, scope));
    const joined = zipTensors(state, next, (before, after) => joinedState(before, after) ?? before);
    // Of a part in which something is wrong nothing is known.
    const isKnown = tensorsIn(joined).length === tensorsIn(state).length;
    if (!isKnown || sameEverywhere(joined, state)) return state;
    state = joined;
  }
  return state;
}

/** Of a scan the first part of what a step gives. */
function nextState({ what }: Carrier, body: PlacedValue): PlacedValue {
  if (what !== 'scan') return body;
  return body.kind === 'tuple' ? (body.elements[0] ?? unknownValue) : unknownValue;
}

/** Each step's row of what the loop goes over, which must be there on every device. */
function rowsOf(
  { item, loop }: Typed<'loop'>,
  sequence: PlacedValue,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue | undefined {
  const { span, type } = item!.sequence;
  const cut = tensorsIn(sequence).find(({ cuts }) => (cuts[0] ?? []).length > 0)?.cuts[0];
  if (cut !== undefined) {
    const size = dimsOf(type)[0]?.size;
    const dimension = size === undefined ? 'its rows' : `the dimension ${showName(sizeIn(size, scope))}`;
    needsWhole(placing, scope, loop, span, cut, dimension);
    return undefined;
  }
  return mapTensors(sequence, (tensor) => ({ ...tensor, cuts: tensor.cuts.slice(1) }));
}

/**
 * Where both fit without moving data: the longer cut of each dimension, no axis on two of them. A final value
 * joins a state that is pending; one that becomes pending by itself is what nobody means.
 */
function joinedState(before: PlacedTensor, after: PlacedTensor): PlacedTensor | undefined {
  const cuts = longerCuts(before, after);
  if (cuts === undefined || axisTwice(cuts) !== undefined) return undefined;
  const { pending } = before;
  const agree = [...after.pending].every(([axis, { combiner }]) => pending.get(axis)?.combiner === combiner);
  const isUsed = cuts.flatMap(axesOfCut).some((axis) => pending.has(axis));
  return agree && !isUsed ? { ...before, cuts, ...dependenceOf([before, after]) } : undefined;
}

function longerCuts(before: PlacedTensor, after: PlacedTensor): readonly Cut[] | undefined {
  const cuts = before.cuts.map((cut, dim) => longerCut(cut, after.cuts[dim]!));
  const known = cuts.filter((cut) => cut !== undefined);
  return known.length === cuts.length ? known : undefined;
}

function axisTwice(cuts: readonly Cut[]): string | undefined {
  const axes = axesOfCut(cuts.flat());
  return axes.find((axis, i) => axes.indexOf(axis) < i);
}

function sameEverywhere(left: PlacedValue, right: PlacedValue): boolean {
  const others = tensorsIn(right);
  return tensorsIn(left).every((tensor, i) => {
    const other = others[i]!;
    const isSameCut = tensor.cuts.every((cut, dim) => sameCut(cut, other.cuts[dim]!));
    // Dependences are only ever added.
    const { indices, varies } = tensor;
    return isSameCut && varies.size === other.varies.size && indices.size === other.indices.size;
  });
}

function reportState(
  { what, body }: Carrier,
  before: PlacedTensor,
  after: PlacedTensor,
  scope: PlaceScope,
  placing: Placing,
): void {
  const dim = before.cuts.findIndex((cut, i) => longerCut(cut, after.cuts[i]!) === undefined);
  const [left, right] = [before, after].map((tensor) => listed(axesOfCut(tensor.cuts[dim] ?? [])));
  const [first] = [...after.pending].filter(([axis]) => !before.pending.has(axis));
  const moved =
    dim >= 0
      ? {
          what: `cut over ${left} before a step and over ${right} after it`,
          labels: origins(before.cuts[dim]!, after.cuts[dim]!),
          remedies: gatherRemedies(placing, after.cuts[dim]!),
        }
      : (movedAxis(before, after, placing) ??
        (first === undefined
          ? { what: 'pending before a step and final after it', labels: [], remedies: [] }
          : {
              what: `final before a step and pending over ${first[0]} after it`,
              labels: [first[1].because],
              remedies: reduceRemedies(placing, [first[0]], first[1]),
            }));
  report(placing, scope, {
    code: 'E0513',
    message: `the state of the ${what} does not stay where it is: ${moved.what}`,
    span: body.span,
    remark: 'a step of the loop is here',
    secondary: moved.labels,
    ...withRemedies(moved.remedies, 'end the step with a collective that brings the state back'),
  });
}

/** One axis on two dimensions, of which a step cuts one and is given the other. */
function movedAxis(before: PlacedTensor, after: PlacedTensor, placing: Placing) {
  const axis = axisTwice(longerCuts(before, after) ?? []);
  if (axis === undefined) return undefined;
  const entries = [before, after].map(({ cuts }) => cuts.flat().filter((entry) => entry.axis === axis));
  return {
    what: `${axis} cuts one of its dimensions before a step and another after it`,
    labels: origins(...entries),
    remedies: gatherRemedies(placing, entries[1]!),
  };
}
