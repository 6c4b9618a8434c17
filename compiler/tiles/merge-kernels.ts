/**
 * Kernels that need nothing of each other, as those of queries, keys and values, are launched as one: the
 * first workgroups are the one's, the next the other's. That pays where there are few workgroups, which
 * neither fill a device nor take much longer than to be launched. What a workgroup does is the same.
 */
import type { LoopId, TensorId } from '../graph/graph.ts';
import type { DeviceProfile } from './device-profile.ts';
import { expressionMapper, mapStatement } from './map-expression.ts';
import type { ScheduledStep } from './scheduled.ts';
import { allStatements, loop, program, tilesOf } from './tile-builder.ts';
import {
  apply,
  constant,
  difference,
  grid,
  masked,
  sum,
  type TileExpression,
  unflatten,
} from './tile-expression.ts';
import type { Tile, TileProgram, TileStatement } from './tile-program.ts';

/** Workgroups of all kernels that become one: with more the device is busy anyway. */
const mostWorkgroups = { software: 256, hardware: 2048 };
/** Kernels that become one: each is more code. */
const mostParts = 4;
/** Steps that a kernel may be run before its turn: what it writes lives so much longer. */
const furthest = 8;

/** The steps of one list, in order; `enclosing` are the loops around it. */
export function mergeKernels(
  steps: readonly ScheduledStep[],
  device: DeviceProfile,
  enclosing: readonly LoopId[],
): readonly ScheduledStep[] {
  // A core runs one workgroup after the other: there is nothing to fill.
  if (device.core !== undefined) return steps;
  const merged: (ScheduledStep | readonly TileProgram[])[] = [];
  for (const step of steps) {
    if (step.kind !== 'kernel') {
      merged.push(step);
      continue;
    }
    const place = partnerOf(step.program, merged, device);
    if (place === undefined) merged.push([step.program]);
    else merged[place] = [...(merged[place] as readonly TileProgram[]), step.program];
  }
  return merged.map((each) =>
    'kind' in each ? each : { kind: 'kernel', program: oneProgram(each, enclosing) },
  );
}

/** The nearest kernels before it that it can be merged with; everything between needs nothing of it. */
function partnerOf(
  kernel: TileProgram,
  before: readonly (ScheduledStep | readonly TileProgram[])[],
  device: DeviceProfile,
): number | undefined {
  for (let at = before.length - 1; at >= Math.max(0, before.length - furthest); at--) {
    const candidates = before[at]!;
    if ('kind' in candidates || candidates.some((other) => areBound(other, kernel))) return undefined;
    if (fitTogether([...candidates, kernel], device)) return at;
  }
  return undefined;
}

/** Whether one reads or writes what the other writes. */
function areBound(first: TileProgram, second: TileProgram): boolean {
  const written = (of: TileProgram) => tensorsOf(of, (access) => access !== 'read');
  const touches = (of: TileProgram, tensors: ReadonlySet<TensorId>) =>
    of.buffers.some(({ tensor }) => tensors.has(tensor));
  return touches(second, written(first)) || touches(first, written(second));
}

function tensorsOf(
  { buffers }: TileProgram,
  isWanted: (access: TileProgram['buffers'][number]['access']) => boolean,
): ReadonlySet<TensorId> {
  return new Set(buffers.filter(({ access }) => isWanted(access)).map(({ tensor }) => tensor));
}

function fitTogether(parts: readonly TileProgram[], device: DeviceProfile): boolean {
  const [first] = parts;
  const { rows, columns } = first!.threads;
  const buffers = new Set(parts.flatMap((part) => [...tensorsOf(part, () => true)]));
  const most = device.software ? mostWorkgroups.software : mostWorkgroups.hardware;
  return (
    parts.length <= mostParts &&
    // Of one grid, workgroups at the end could be left out, and not between.
    parts.every(({ gridEnds, cluster }) => gridEnds === undefined && cluster === undefined) &&
    !parts.some(({ isAlone }) => isAlone) &&
    parts.every(({ threads }) => threads.rows === rows && threads.columns === columns) &&
    agreeOnSharedTiles(parts) &&
    uniformsOf(parts) <= mostUniforms &&
    buffers.size <= device.maxStorageBuffersPerStage &&
    parts.reduce((total, part) => total + workgroups(part), 0) <= most
  );
}

/** What the kernels are told when they are launched: a launch has room for no more (`plan/kernel.ts`). */
export const mostUniforms = 4;

export function uniformsOf(parts: readonly TileProgram[]): number {
  return new Set(parts.flatMap(({ counters, coordinates }) => [...counters, ...coordinates])).size;
}

/** A workgroup is of one part only, so that all of them use the same workgroup memory. */
function agreeOnSharedTiles(parts: readonly TileProgram[]): boolean {
  const layouts = new Map<string, string>();
  return parts.flatMap(sharedTiles).every(({ name, ...rest }) => {
    const layout = JSON.stringify(rest);
    const known = layouts.get(name) ?? layout;
    layouts.set(name, known);
    return known === layout;
  });
}

function sharedTiles({ body }: TileProgram): readonly Tile[] {
  return allStatements(body)
    .flatMap(tilesOf)
    .filter(({ space }) => space === 'shared');
}

function workgroups({ grid: extents }: TileProgram): number {
  return extents.reduce((total, extent) => total * extent, 1);
}

function oneProgram(parts: readonly TileProgram[], enclosing: readonly LoopId[]): TileProgram {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first!;
  const total = parts.reduce((sum, part) => sum + workgroups(part), 0);
  let start = 0;
  const body = parts.map((part, at) => {
    const statement = partStatement(part, `k${at}_`, start, total);
    start += workgroups(part);
    return statement;
  });
  return program({
    name: `${first.name}_and_${others.length}_more`,
    grid: [total],
    threads: first.threads,
    body,
    enclosing,
  });
}

/** A loop of one turn in the part's workgroups, of none in others: its variable says which of them it is. */
function partStatement(part: TileProgram, prefix: string, start: number, total: number): TileStatement {
  const own = workgroups(part);
  const here = grid(0, total);
  const isPart = apply(
    'and',
    'bool',
    apply('le', 'bool', constant(start), here),
    apply('lt', 'bool', here, constant(start + own)),
  );
  const place = difference(here, constant(start));
  const bounds = {
    from: masked(isPart, place, constant(0)),
    to: masked(isPart, sum(place, constant(1)), constant(0)),
    step: 1,
    range: { low: 0, high: own - 1 },
  };
  const shared = new Set(sharedTiles(part).map((tile) => tile.name));
  const name = (old: string) => (shared.has(old) ? old : `${prefix}${old}`);
  return loop(name(freeName(part)), bounds, (variable) => {
    const places = unflatten(variable, part.grid);
    const map = expressionMapper((expression) => renamed(expression, name, places));
    return part.body.map((statement) => mapStatement(statement, map, name));
  });
}

/** A name that no loop of the part has: what is inside of one would take its variable for the part's. */
function freeName({ body }: TileProgram): string {
  const taken = new Set(allStatements(body).flatMap((each) => ('variable' in each ? [each.variable] : [])));
  let name = 'part';
  while (taken.has(name)) name = `whole_${name}`;
  return name;
}

function renamed(
  expression: TileExpression,
  name: (old: string) => string,
  places: readonly TileExpression[],
): TileExpression {
  switch (expression.op) {
    case 'grid':
      return places[expression.axis]!;
    case 'variable':
      return { ...expression, name: name(expression.name) };
    case 'element':
      return { ...expression, tile: name(expression.tile) };
    default:
      return expression;
  }
}
