/**
 * The per-device view: a block is whole for the device that has it, and varies along the axes that cut it.
 * What is given back is put together from blocks, or is the same on every device.
 */
import type { LocalId, Type, TypedExpression } from '../typed.ts';
import { dimsOf, leafTypes } from '../types.ts';
import { requireFinal } from './joins.ts';
import type { Typed } from './operands.ts';
import { bindIndex } from './place-comprehension.ts';
import { carried } from './place-loop.ts';
import {
  axesOfCut,
  type Cut,
  mapTensors,
  type PlacedTensor,
  type PlacedValue,
  tensorsIn,
  unknownValue,
  wholeTensor,
} from './placed-value.ts';
import { origins, type PlaceScope, type Placing } from './placing.ts';
import { listed, report } from './problems.ts';
import { requirePlacement } from './required.ts';

export function placeLocal(
  { local, span }: Typed<'local'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const cut = scope.device?.unnamed.get(local);
  if (cut === undefined) return scope.locals.get(local) ?? unknownValue;
  const name = placing.text(span);
  report(placing, scope, {
    code: 'E0514',
    message: `a device has a part of ${name} only, cut over ${listed(axesOfCut(cut))}`,
    span,
    remark: 'it is used here',
    secondary: origins(cut),
    help: [`name it to use the part: per_device ${listed(scope.device!.axes)} (${name}, …)`],
  });
  return unknownValue;
}

export function placePerDevice(
  expression: Typed<'perDevice'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const { axes, body, captures, span, whole } = expression;
  const inside: PlaceScope = {
    ...scope,
    locals: new Map(scope.locals),
    device: { axes, unnamed: partsIn(scope.locals, axes) },
  };
  for (const { name, outer, local, type, span: at } of captures) {
    const meeting = { placing, scope, span: at };
    const value = scope.locals.get(outer) ?? unknownValue;
    const wanted = requirePlacement(meeting, `${name} in per_device`, value, type, 'open');
    const parts = leafTypes(type);
    let part = 0;
    const block = mapTensors(wanted, (tensor) => blockOf(tensor, parts[part++]!, name, axes, meeting));
    inside.locals.set(local, block);
  }
  const result = placing.place(body, inside);
  const types = leafTypes(whole);
  let position = 0;
  return mapTensors(result, (tensor) => {
    const dims = dimsOf(types[position++]!);
    const because = { span, message: `put together from the devices along ${listed(axes)} here` };
    const cuts = dims.map(({ placement }, dim): Cut => {
      const written = placement.kind === 'axes' ? placement.axes : [];
      const own = written.filter((axis) => axes.includes(axis));
      return [...own.map((axis) => ({ axis, because, wraps: [] })), ...(tensor.cuts[dim] ?? [])];
    });
    const used = new Set(cuts.flatMap(axesOfCut));
    const differs = axes.filter((axis) => tensor.varies.has(axis) && !used.has(axis));
    if (differs.length > 0) {
      reportDiffers(body, differs, scope, placing);
      return unknownValue;
    }
    const varies = new Set([...tensor.varies].filter((axis) => !axes.includes(axis)));
    return { ...tensor, cuts, varies };
  });
}

/** The values that the axes cut, or that are pending over them. */
function partsIn(
  locals: ReadonlyMap<LocalId, PlacedValue>,
  axes: readonly string[],
): ReadonlyMap<LocalId, Cut> {
  const found = new Map<LocalId, Cut>();
  for (const [local, value] of locals) {
    const cut = tensorsIn(value)
      .flatMap(({ cuts }) => cuts.flat())
      .filter(({ axis }) => axes.includes(axis));
    if (cut.length > 0) found.set(local, cut);
  }
  return found;
}

/** What a device along the axes has of a tensor that its type says is cut over them. */
function blockOf(
  tensor: PlacedTensor,
  type: Type,
  name: string,
  axes: readonly string[],
  meeting: Parameters<typeof requireFinal>[0],
): PlacedValue {
  if (!requireFinal(meeting, 'per_device', tensor)) return unknownValue;
  const { placing, scope, span } = meeting;
  const cuts: Cut[] = [];
  for (const [dim, cut] of tensor.cuts.entries()) {
    const others = cut.findIndex(({ axis }) => !axes.includes(axis));
    const own = others < 0 ? cut : cut.slice(0, others);
    const rest = cut.slice(own.length);
    const stated = dimsOf(type)[dim]?.placement;
    const isStated = stated?.kind === 'axes' && own.every(({ axis }, i) => stated.axes[i] === axis);
    if ((own.length === 0 || isStated) && !rest.some(({ axis }) => axes.includes(axis))) {
      cuts.push(rest);
      continue;
    }
    report(placing, scope, {
      code: 'E0514',
      message: isStated
        ? `${name} is cut over ${listed(axesOfCut(cut))}: a device along ${listed(axes)} alone has no one block of it`
        : `${name} is cut over ${listed(axesOfCut(own))}, and its type does not say so`,
      span,
      remark: 'it is taken into the view here',
      secondary: origins(cut),
      help: [
        isStated
          ? `name the axes before them too: per_device (${axesOfCut(cut).join(', ')}) …`
          : `write the type where ${name} is made: let ${name}: … = …`,
      ],
    });
    return unknownValue;
  }
  const taken = tensor.cuts.flatMap(axesOfCut).filter((axis) => axes.includes(axis));
  return { ...tensor, cuts, varies: new Set([...tensor.varies, ...taken]) };
}

function reportDiffers(
  body: TypedExpression,
  axes: readonly string[],
  scope: PlaceScope,
  placing: Placing,
): void {
  let last = body;
  while (last.kind === 'let') last = last.body;
  report(placing, scope, {
    code: 'E0514',
    message: `the devices along ${listed(axes)} give different values, and none of its dimensions is cut over ${listed(axes)}`,
    span: last.span,
    remark: 'it is given here',
    help: [
      `all_reduce(…, ${axes[0]}) or broadcast(…, ${axes[0]}) makes one value of them`,
      `or give a tensor with a dimension of a block's size`,
    ],
  });
}

/** What travels is another device's block from turn to turn, and so is what is made of it. */
export function placeRing(expression: Typed<'ring'>, outside: PlaceScope, placing: Placing): PlacedValue {
  const scope: PlaceScope = { ...outside, locals: new Map(outside.locals) };
  const { axis, body, initial, source, span, state, travelling } = expression;
  if (scope.device?.axes.includes(axis) !== true) {
    report(placing, scope, {
      code: 'E0514',
      message: `a ring goes round the devices along ${axis}, and the view is not that of one of them`,
      span,
      remark: 'the ring is here',
      help: [`put it inside per_device ${axis} (…) { … }`],
    });
    return unknownValue;
  }
  const varying = (value: PlacedValue) =>
    mapTensors(value, (tensor) => ({ ...tensor, varies: new Set([...tensor.varies, axis]) }));
  for (const local of travelling) scope.locals.set(local, varying(scope.locals.get(local) ?? unknownValue));
  if (source !== undefined) bindIndex(source, scope, true, axis);
  const first = varying(placing.place(initial, scope));
  return carried({ state, body, what: 'ring' }, first, scope, placing).state;
}

export function placeMe({ axis, span }: Typed<'me'>, scope: PlaceScope, placing: Placing): PlacedValue {
  if (scope.device?.axes.includes(axis) === true) return { ...wholeTensor(0), varies: new Set([axis]) };
  report(placing, scope, {
    code: 'E0514',
    message: `the view is not that of one device along ${axis}`,
    span,
    remark: 'it is asked here',
    help: [`name the axis: per_device ${axis} …, or ask for one that is named`],
  });
  return unknownValue;
}
