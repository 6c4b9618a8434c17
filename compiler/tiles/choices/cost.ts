/**
 * What a schedule costs, estimated from its tile programs: loads, multiply-adds and barriers of one
 * invocation, of as many as there are, by the rates of a device. It orders choices for the
 * tuner, which measures those first that promise most.
 */

import type { DeviceProfile } from '../device-profile.ts';
import { type Rates, ratesOf } from '../device-rates.ts';
import { createDomain, type Domain, divisorOf, laneStride } from '../lanes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { sharersOf } from '../tile-builder.ts';
import { intervalOf, operandsOf, type TileExpression } from '../tile-expression.ts';
import type { StatementOf, Tile, TileAxis, TileProgram, TileStatement } from '../tile-program.ts';

/** Seconds of all steps, those of loops once. */
export function costOf(steps: readonly ScheduledStep[], device: DeviceProfile): number {
  const rates = ratesOf(device);
  return steps.reduce((total, step) => {
    if (step.kind === 'kernel') return total + kernelCost(step.program, rates, device);
    return step.kind === 'loop' ? total + costOf(step.steps, device) : total;
  }, 0);
}

function kernelCost(program: TileProgram, rates: Rates, device: DeviceProfile): number {
  const groups = program.grid.reduce((product, extent) => product * extent, 1);
  const threads = program.threads.rows * program.threads.columns;
  const counting: Counting = {
    program,
    rates,
    lanes: device.subgroupSize ?? 1,
    isFree: device.core !== undefined,
    tiles: new Map(),
  };
  const own = bodyCost(program.body, counting);
  // Workgroups run whole: those of the last turn are not enough for all.
  const together = Math.max(1, rates.invocations / threads);
  const turns = Math.max(Math.ceil(groups / together), groups / together);
  const slowed = Math.max(1, threads / rates.invocations);
  return rates.kernel + turns * (own * slowed + rates.workgroup);
}

/** Whether neighbours that are loaded begin where a vector in memory does. */
function isAligned(expression: TileExpression, domain: Domain): boolean {
  return expression.op !== 'load' || divisorOf(expression.offset, domain) % domain.width === 0;
}

interface Counting {
  readonly program: TileProgram;
  readonly rates: Rates;
  readonly lanes: number;
  /** Whether vectors may be loaded from anywhere. */
  readonly isFree: boolean;
  readonly tiles: Map<string, Tile>;
}

/** Seconds of one invocation. */
function bodyCost(body: readonly TileStatement[], counting: Counting): number {
  return body.reduce((total, statement) => total + statementCost(statement, counting), 0);
}

function statementCost(statement: TileStatement, counting: Counting): number {
  const { rates, tiles } = counting;
  switch (statement.kind) {
    case 'define': {
      tiles.set(statement.tile.name, statement.tile);
      const { space, axes } = statement.tile;
      return space === 'shared'
        ? 2 * rates.barrier + sharedCost(statement.value, axes, counting)
        : valueCost([statement.value], axes, counting);
    }
    case 'update':
      return valueCost([statement.value], tiles.get(statement.tile)?.axes ?? [], counting);
    case 'store':
      return (
        valueCost([statement.value, statement.offset], statement.axes, counting) +
        (pointsOf(statement.axes, counting) / widthOf(statement.axes)) * rates.load
      );
    case 'multiplyAccumulate':
      return productCost(statement, counting);
    case 'reduce': {
      const [from] = statement.from.map((name) => tiles.get(name));
      if (from === undefined) return 0;
      const axes = from.axes.slice(0, -1);
      for (const name of statement.into) tiles.set(name, { ...from, name, axes });
      const sharing = sharers(from.axes.at(-1)!, counting);
      const across = Math.log2(sharing) * (rates.barrier + 2 * rates.shared) * pointsOf(axes, counting);
      return pointsOf(from.axes, counting) * rates.arithmetic + across;
    }
    case 'scan': {
      const from = tiles.get(statement.from);
      if (from === undefined) return 0;
      const axes = from.axes.slice(0, 1);
      tiles.set(statement.into, { ...from, name: statement.into });
      tiles.set(statement.total, { ...from, name: statement.total, axes });
      const runs = pointsOf(from.axes.slice(0, -1), counting);
      const steps = Math.log2(sharers(from.axes.at(-1)!, counting));
      const across = steps * (rates.barrier + 2 * rates.shared * runs);
      return 2 * pointsOf(from.axes, counting) * rates.arithmetic + across;
    }
    case 'loop': {
      const [low, high] = [intervalOf(statement.from).low, intervalOf(statement.to).high];
      const turns = Math.max(0, Math.ceil((high - low) / statement.step));
      return turns * (rates.arithmetic + bodyCost(statement.body, counting));
    }
    case 'pipeline': {
      const [low, high] = [intervalOf(statement.from).low, intervalOf(statement.to).high];
      const turns = Math.max(0, Math.ceil((high - low) / statement.step));
      for (const { tile } of statement.feeds) tiles.set(tile.name, tile);
      const fed = statement.feeds.map(({ tile, value }) => sharedCost(value, tile.axes, counting));
      const feeding = fed.reduce((total, each) => total + each, rates.barrier);
      return turns * (feeding + bodyCost(statement.body, counting));
    }
    case 'when':
      return bodyCost(statement.body, counting);
  }
}

function widthOf(axes: readonly TileAxis[]): number {
  return (axes.at(-1)?.block ?? 1) % 4 === 0 ? 4 : 1;
}

function sharers({ over }: TileAxis, { program, lanes }: Counting): number {
  return sharersOf(over, program.threads, lanes);
}

/** Elements that one invocation has. */
function pointsOf(axes: readonly TileAxis[], counting: Counting): number {
  return axes.reduce((product, axis) => product * Math.max(1, axis.extent / sharers(axis, counting)), 1);
}

/** What varies with an axis is computed for each of its elements, all else once. */
function valueCost(values: readonly TileExpression[], axes: readonly TileAxis[], counting: Counting): number {
  return expressionCost(values, axes, (axis) => axis.extent / sharers(axis, counting), counting);
}

/** All invocations together. */
function sharedCost(value: TileExpression, axes: readonly TileAxis[], counting: Counting): number {
  const { rows, columns } = counting.program.threads;
  const whole = axes.reduce((product, axis) => product * axis.extent, 1) / widthOf(axes);
  const points = Math.ceil(whole / (rows * columns));
  const each = expressionCost([value], axes, () => 1, counting);
  return points * (each + counting.rates.shared);
}

function expressionCost(
  values: readonly TileExpression[],
  axes: readonly TileAxis[],
  pointsAlong: (axis: TileAxis) => number,
  { rates, tiles, isFree }: Counting,
): number {
  const domain = createDomain(axes);
  const seen = new Map<TileExpression, ReadonlySet<number>>();
  let total = 0;
  const visit = (expression: TileExpression): ReadonlySet<number> => {
    const known = seen.get(expression);
    if (known !== undefined) return known;
    const operands = operandsOf(expression).map(visit);
    const along = new Set(operands.flatMap((each) => [...each]));
    if (expression.op === 'coordinate') along.add(expression.axis);
    seen.set(expression, along);
    const last = axes.length - 1;
    const stride = expression.op === 'load' ? laneStride(expression.offset, domain) : 0;
    const isVector =
      domain.width === 4 &&
      along.has(last) &&
      (stride === 0 || (stride === 1 && (isFree || isAligned(expression, domain))));
    const points =
      [...along].reduce((product, axis) => product * (axes[axis] ? pointsAlong(axes[axis]) : 1), 1) /
      (isVector ? 4 : 1);
    if (expression.op === 'load') total += points * rates.load;
    else if (expression.op === 'element')
      total += tiles.get(expression.tile)?.space === 'shared' ? points * rates.shared : 0;
    else if (expression.op === 'apply' && expression.dtype === 'f32')
      total += points * rates.arithmetic * (costly.has(expression.function) ? 8 : 1);
    return along;
  };
  for (const value of values) visit(value);
  return total;
}

/** Sums that stay in registers: eight vectors, as of most processors. */
const inRegisters = 32;

const costly: ReadonlySet<string> = new Set([
  'exp',
  'log',
  'sin',
  'cos',
  'tanh',
  'erf',
  'pow',
  'div',
  'sqrt',
]);

function productCost({ into, left, right }: StatementOf<'multiplyAccumulate'>, counting: Counting): number {
  const { rates, tiles } = counting;
  const [sums, factor, other] = [into, left, right].map((name) => tiles.get(name));
  if (sums === undefined || factor === undefined || other === undefined) return 0;
  const depth = factor.axes[1]!.extent;
  const results = pointsOf(sums.axes, counting);
  const broadcasts = factor.axes[0]!.over === 'lanes' || other.axes[0]!.over === 'lanes' ? 1 : 0;
  const rows = pointsOf(sums.axes.slice(0, 1), counting);
  // More than there are registers for go to memory and come back, which is half hidden.
  const spilled = Math.max(1, results / inRegisters) ** 0.25;
  return (
    ((results * depth) / widthOf(sums.axes)) * rates.arithmetic * spilled +
    broadcasts * rows * depth * rates.broadcast
  );
}
