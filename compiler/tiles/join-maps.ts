/**
 * Maps over the same places become one kernel, where a later one reads what an earlier one gives or both read
 * the same: as the moments, the weights and the rounded weights of a step of training are. What goes from one
 * to the next stays in registers, and is stored for whoever else reads it.
 */
import type { LoopId, TensorId } from '../graph/graph.ts';
import type { DeviceProfile } from './device-profile.ts';
import { type ExpressionKey, expressionKeys } from './expression-keys.ts';
import { expressionMapper } from './map-expression.ts';
import { mostUniforms, uniformsOf } from './merge-kernels.ts';
import type { ScheduledStep } from './scheduled.ts';
import { isShort, program } from './tile-builder.ts';
import { type Load, loadsIn, type TileExpression } from './tile-expression.ts';
import type { StatementOf, TileProgram } from './tile-program.ts';

type Store = StatementOf<'store'>;
type Kernel = ScheduledStep & { readonly kind: 'kernel' };

/** A kernel that is nothing but stores at the same places. */
interface Maps {
  readonly program: TileProgram;
  readonly stores: readonly Store[];
}

/** Results of a kernel: each has its registers. */
const mostStores = 4;
/** Kernels between two that become one. */
const furthest = 8;

/** The steps of one list, in order; `enclosing` are the loops around it. */
export function joinMaps(
  steps: readonly ScheduledStep[],
  device: DeviceProfile,
  enclosing: readonly LoopId[],
): readonly ScheduledStep[] {
  // Others gain little from it, and compile large kernels slowly.
  if (device.keptElements === undefined) return steps;
  const keyOf = expressionKeys();
  const joined: ScheduledStep[] = [];
  for (const step of steps) {
    const own = mapsOf(step, keyOf);
    const partner = own && partnerOf(own, joined, keyOf, device);
    if (partner === undefined) joined.push(step);
    else {
      joined.splice(partner.at, 1);
      joined.push({ kind: 'kernel', program: oneProgram(partner.before, own!, partner.stores, enclosing) });
    }
  }
  return joined;
}

function mapsOf(step: ScheduledStep, keyOf: ExpressionKey): Maps | undefined {
  if (step.kind !== 'kernel' || step.beside !== undefined) return undefined;
  const { body, scratch, cluster } = step.program;
  const stores = body.filter((statement): statement is Store => statement.kind === 'store');
  const [first] = stores;
  const isOfMaps = stores.length === body.length && scratch === undefined && cluster === undefined;
  if (first === undefined || !isOfMaps || stores.some(({ box }) => box !== undefined)) return undefined;
  return stores.every((each) => areAtSamePlaces(each, first, keyOf))
    ? { program: step.program, stores }
    : undefined;
}

function areAtSamePlaces(left: Store, right: Store, keyOf: ExpressionKey): boolean {
  const maskOf = ({ mask }: Store) => mask && keyOf(mask);
  return (
    JSON.stringify(left.axes) === JSON.stringify(right.axes) &&
    keyOf(left.offset) === keyOf(right.offset) &&
    maskOf(left) === maskOf(right)
  );
}

interface Partner {
  readonly at: number;
  readonly before: Maps;
  /** Those of the later kernel, of which none reads what the earlier one stores. */
  readonly stores: readonly Store[];
}

/** The nearest earlier kernel that may wait until the later one is run. */
function partnerOf(
  own: Maps,
  steps: readonly ScheduledStep[],
  keyOf: ExpressionKey,
  device: DeviceProfile,
): Partner | undefined {
  for (let at = steps.length - 1; at >= Math.max(0, steps.length - furthest); at--) {
    const step = steps[at]!;
    if (step.kind !== 'kernel') return undefined;
    const before = mapsOf(step, keyOf);
    const stores = before && storesBehind(before, own, keyOf, device);
    if (before !== undefined && stores !== undefined && mayWait(step, steps.slice(at + 1)))
      return { at, before, stores };
  }
  return undefined;
}

/** Whether no other kernel reads or writes what it writes, or writes what it reads. */
function mayWait({ program: { buffers } }: Kernel, others: readonly ScheduledStep[]): boolean {
  const accessed = new Map(buffers.map(({ tensor, access }) => [tensor, access]));
  return others.every(
    (other) =>
      other.kind === 'kernel' &&
      other.program.buffers.every(({ tensor, access }) => {
        const own = accessed.get(tensor);
        return own === undefined || (own === 'read' && access === 'read');
      }),
  );
}

/** Undefined where the two have nothing in common, or are of other places. */
function storesBehind(
  before: Maps,
  own: Maps,
  keyOf: ExpressionKey,
  device: DeviceProfile,
): readonly Store[] | undefined {
  const [first, second] = [before.program, own.program];
  const isAlike =
    `${first.grid}` === `${second.grid}` &&
    JSON.stringify(first.gridEnds) === JSON.stringify(second.gridEnds) &&
    first.threads.rows === second.threads.rows &&
    first.threads.columns === second.threads.columns &&
    areAtSamePlaces(before.stores[0]!, own.stores[0]!, keyOf);
  if (!isAlike || before.stores.length + own.stores.length > mostStores) return undefined;
  const buffers = new Set([...first.buffers, ...second.buffers].map(({ tensor }) => tensor));
  if (buffers.size > device.maxStorageBuffersPerStage || uniformsOf([first, second]) > mostUniforms)
    return undefined;
  const place = keyOf(own.stores[0]!.offset);
  const isHere = ({ offset }: Load) => keyOf(offset) === place;
  const given = new Map(before.stores.map((store) => [store.tensor, store]));
  const loads = own.stores.flatMap(({ value }) => loadsIn(value));
  const taken = loads.filter(({ tensor }) => given.has(tensor));
  const read = new Set(
    before.stores
      .flatMap(({ value }) => loadsIn(value))
      .filter(isHere)
      .map(tensorOf),
  );
  const isShared = loads.some((load) => isHere(load) && read.has(load.tensor));
  if (taken.length === 0 ? !isShared : !taken.every((load) => isHere(load) && isKept(load))) return undefined;
  const map = expressionMapper((expression) => {
    const store = expression.op === 'load' ? given.get(expression.tensor) : undefined;
    return store === undefined ? expression : asStored(store.value, expression as Load);
  });
  const joined = own.stores.map((store) => ({ ...store, value: map(store.value) }));
  return joined.every(isShort) ? joined : undefined;
}

function tensorOf({ tensor }: Load): TensorId {
  return tensor;
}

/** Whether what is stored is what is computed, or that rounded. */
function isKept({ dtype }: Load): boolean {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';
}

function asStored(value: TileExpression, { dtype }: Load): TileExpression {
  return dtype === 'f32' ? value : { op: 'round', dtype, operand: value };
}

function oneProgram(
  before: Maps,
  { program: last }: Maps,
  stores: readonly Store[],
  enclosing: readonly LoopId[],
): TileProgram {
  const { name, grid, gridEnds = [], threads } = last;
  const body = [...before.stores, ...stores];
  return program({ name: `${name}_with_${before.stores.length}`, grid, gridEnds, threads, body, enclosing });
}
