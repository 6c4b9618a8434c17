/** Collectives: where a value lives after one, and where it must live before. */
import type { Label } from '../../diagnostics/diagnostic.ts';
import { showList } from '../../placement/placement.ts';
import type { Type } from '../typed.ts';
import { dimsOf, leafTypes, showName } from '../types.ts';
import { requireDivides } from './divides.ts';
import type { Meeting } from './joins.ts';
import type { Typed } from './operands.ts';
import {
  axesOfCut,
  type Cut,
  mapTensors,
  type PendingAxis,
  type PlacedTensor,
  type PlacedValue,
  tensorsIn,
  unknownValue,
} from './placed-value.ts';
import { type DeviceView, origins, type PlaceScope, type Placing, sizeIn } from './placing.ts';
import { listed, report } from './problems.ts';
import { useTogether } from './together.ts';

type Collective = Typed<'collective'>['collective'];

interface Call {
  readonly expression: Typed<'collective'>;
  readonly meeting: Meeting;
  readonly because: Label;
}

/** Undefined after a report. */
type Rule = (tensor: PlacedTensor, type: Type, call: Call) => PlacedTensor | undefined;

const rules: { readonly [C in Collective]: Rule } = {
  all_gather: (tensor, _, call) => {
    const dim = tensor.cuts.findIndex((cut) => endsWith(cut, call.expression.axes));
    return dim < 0 ? notCut(tensor, call) : withCut(tensor, dim, shortened(tensor, dim, call));
  },
  all_reduce: (tensor, _, call) => withoutPending(tensor, call),
  reduce_scatter: (tensor, type, call) => {
    const finished = withoutPending(tensor, call);
    return finished && lengthened(finished, type, call.expression.dims[0]!, call);
  },
  all_to_all: (tensor, type, call) => {
    const [from, to] = call.expression.dims as [number, number];
    if (from === to) return reportNoMove(type, from, call);
    if (!endsWith(tensor.cuts[from]!, call.expression.axes)) return notCut(tensor, call, from);
    return lengthened(withCut(tensor, from, shortened(tensor, from, call)), type, to, call);
  },
  broadcast: (tensor) => tensor,
  // In the per-device view, which is not followed.
  shift: (tensor) => tensor,
  reshard: (tensor, type, call) => resharded(tensor, type, call),
};

export function placeCollective(
  expression: Typed<'collective'>,
  scope: PlaceScope,
  placing: Placing,
): PlacedValue {
  const { axes, collective, span, value } = expression;
  const placed = useTogether(placing.place(value, scope), value, scope, placing);
  const because = { span, message: `${collective} over ${listed(axes)} here` };
  const call = { expression, meeting: { placing, scope, span }, because };
  if (scope.device !== undefined) return placeExchange(call, placed, scope.device);
  const rule = rules[collective];
  const isPart = tensorsIn(placed).length > 1;
  const types = leafTypes(value.type);
  let position = 0;
  return mapTensors(placed, (tensor) => {
    const type = types[position++]!;
    // Of a record of many tensors only some may be cut: norms beside their matrices.
    if (isPart && collective === 'all_gather' && !tensor.cuts.some((cut) => endsWith(cut, axes)))
      return tensor;
    return rule(tensor, type, call) ?? unknownValue;
  });
}

/** What a collective does to the values of single devices, where it can be written between them. */
const exchanges: { readonly [C in Collective]: 'uniform' | 'varying' | 'of the whole mesh' } = {
  all_reduce: 'uniform',
  broadcast: 'uniform',
  shift: 'varying',
  all_gather: 'of the whole mesh',
  reduce_scatter: 'of the whole mesh',
  all_to_all: 'of the whole mesh',
  reshard: 'of the whole mesh',
};

function placeExchange({ expression, meeting }: Call, value: PlacedValue, device: DeviceView): PlacedValue {
  const { axes, collective, span } = expression;
  const { placing, scope } = meeting;
  const makes = exchanges[collective];
  const outside = axes.filter((axis) => !device.axes.includes(axis));
  if (makes === 'of the whole mesh' || outside.length > 0) {
    report(placing, scope, {
      code: 'E0514',
      message:
        outside.length > 0
          ? `the view is that of one device along ${listed(device.axes)}, not along ${listed(outside)}`
          : `${collective} changes how a tensor is cut, which one device does not see`,
      span,
      remark: `${collective} is here`,
      help: [
        outside.length > 0
          ? `name the axis: per_device (${[...device.axes, ...outside].join(', ')}) …`
          : 'do it before or after the per_device block',
      ],
    });
    return unknownValue;
  }
  return mapTensors(value, (tensor) => {
    const varies = new Set(tensor.varies);
    for (const axis of axes) if (makes === 'uniform') varies.delete(axis);
    return { ...tensor, varies };
  });
}

function endsWith(cut: Cut, axes: readonly string[]): boolean {
  const end = axesOfCut(cut).slice(-axes.length);
  return end.length === axes.length && end.every((axis, i) => axis === axes[i]);
}

function withCut(tensor: PlacedTensor, dim: number, cut: Cut): PlacedTensor {
  return { ...tensor, cuts: tensor.cuts.with(dim, cut) };
}

function shortened(tensor: PlacedTensor, dim: number, { expression }: Call): Cut {
  return tensor.cuts[dim]!.slice(0, -expression.axes.length);
}

function lengthened(tensor: PlacedTensor, type: Type, dim: number, call: Call): PlacedTensor | undefined {
  const { because, expression, meeting } = call;
  const added = expression.axes.map((axis) => ({ axis, because, wraps: [] }));
  const cut = [...tensor.cuts[dim]!, ...added];
  const size = sizeIn(dimsOf(type)[dim]!.size, meeting.scope);
  return requireDivides(meeting, axesOfCut(cut), size) ? withCut(tensor, dim, cut) : undefined;
}

function withoutPending(tensor: PlacedTensor, call: Call): PlacedTensor | undefined {
  const { expression, meeting } = call;
  const missing = expression.axes.filter((axis) => !tensor.pending.has(axis));
  if (missing.length === 0) {
    const pending = [...tensor.pending].filter(([axis]) => !expression.axes.includes(axis));
    return { ...tensor, pending: new Map(pending) };
  }
  const [axis] = missing;
  const cut = tensor.cuts.find((candidate) => axesOfCut(candidate).includes(axis!));
  report(meeting.placing, meeting.scope, {
    code: 'E0510',
    message: `nothing of the value is pending over ${listed(missing)}`,
    span: expression.value.span,
    remark: `${expression.collective} is here`,
    secondary: cut === undefined ? [] : origins(cut),
    help: [
      cut === undefined
        ? `every device along ${axis} has the value already: leave out ${expression.collective}`
        : `a dimension of it is cut over ${axis}: all_gather brings its blocks together`,
    ],
  });
  return undefined;
}

function reportNoMove(type: Type, dim: number, { expression, meeting }: Call): undefined {
  const size = showName(sizeIn(dimsOf(type)[dim]!.size, meeting.scope));
  report(meeting.placing, meeting.scope, {
    code: 'E0510',
    message: `all_to_all moves an axis to another dimension, and ${size} -> ${size} is the same one`,
    span: expression.span,
    remark: 'all_to_all is here',
    help: ['name the dimension that is to be cut instead, or leave out all_to_all'],
  });
  return undefined;
}

/** all_gather or all_to_all of what does not end with the axes. */
function notCut(tensor: PlacedTensor, { expression, meeting }: Call, dim?: number): undefined {
  const { axes, collective, value } = expression;
  const sizes = dimsOf(value.type).map(({ size }) => showName(sizeIn(size, meeting.scope)));
  const own = tensor.cuts.findIndex((cut) => axesOfCut(cut).includes(axes.at(-1)!));
  const pending = tensor.pending.get(axes[0]!);
  const over = listed(axes);
  const found =
    own >= 0
      ? { labels: origins(tensor.cuts[own]!), ...cutInstead(own) }
      : pending !== undefined
        ? {
            labels: [pending.because],
            message: `the value is not cut over ${over}, but pending`,
            help: 'all_reduce, or reduce_scatter, finishes what is pending',
          }
        : {
            labels: [],
            message: `no dimension of the value is cut over ${over}`,
            help: `every device along ${over} has all of it: leave out ${collective}`,
          };
  report(meeting.placing, meeting.scope, {
    code: 'E0510',
    message: found.message,
    span: value.span,
    remark: `${collective} is here`,
    secondary: found.labels,
    help: [found.help],
  });
  return undefined;

  function cutInstead(position: number): { readonly message: string; readonly help: string } {
    const list = showList(axesOfCut(tensor.cuts[position]!));
    if (dim !== undefined && dim !== position && endsWith(tensor.cuts[position]!, axes))
      return {
        message: `${sizes[dim]} is not cut over ${over}: ${sizes[position]} is`,
        help: `name the dimension that is cut: ${sizes[position]} -> …`,
      };
    return {
      message: `${sizes[position]} is cut as ${list}, which does not end with ${over}`,
      help: 'axes come off the end of a list: name the last of them, or all from one on',
    };
  }
}

/** Anything may be moved anywhere; only what is pending cannot become so. */
function resharded(tensor: PlacedTensor, type: Type, call: Call): PlacedTensor | undefined {
  const { because, expression, meeting } = call;
  const { dims, pending: left } = expression.to!;
  const sizes = dimsOf(type);
  const fits = dims.map((axes, dim) =>
    requireDivides(meeting, axes, sizeIn(sizes[dim]!.size, meeting.scope)),
  );
  if (fits.includes(false)) return undefined;
  const pending = [...left].map(([axis, combiner]): [string, PendingAxis] => [
    axis,
    tensor.pending.get(axis) ?? { combiner, because, wraps: [], cut: undefined },
  ]);
  return {
    ...tensor,
    cuts: dims.map((axes) => axes.map((axis) => ({ axis, because, wraps: [] }))),
    pending: new Map(pending),
  };
}
