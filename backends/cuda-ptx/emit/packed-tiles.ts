/**
 * Bringing what matrix units multiply into shared memory. All invocations together copy a packed tile, each
 * every n-th run of neighbours: straight from global memory (`cp.async`) where the tile has what a tensor
 * has, bit by bit, and runs of it lie there as they do in the tile; otherwise through registers.
 */
import type { Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import { createDomain, divisorOf, laneStride, neighbours } from '../../../compiler/tiles/lanes.ts';
import { packedFacts } from '../../../compiler/tiles/packed.ts';
import {
  type ExpressionOf,
  readsMemory,
  type TileExpression,
} from '../../../compiler/tiles/tile-expression.ts';
import type { Feed } from '../../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus } from '../../writing/linear.ts';
import { first, type Point as PointOf } from '../../writing/point.ts';
import { bufferOf, type Emission, type Sum, type TileState } from './emission.ts';
import { emit, linear } from './expressions.ts';
import { copyAddress, isInside } from './memory.ts';
import { elementBytes, packedLayout, packedPlace } from './packed-layout.ts';
import { sharedStart } from './shared-memory.ts';
import { sumOf } from './sums.ts';
import { unitWords } from './unit-types.ts';
import { type Lanes, laneOf, lanesFrom, literal, type Value } from './values.ts';

/** A tensor's elements, or zeros where the mask does not hold. */
interface Copied {
  readonly load: ExpressionOf<'load'>;
  readonly mask: TileExpression | undefined;
}

/** What can be copied in runs of `width`. */
export interface Copy extends Copied {
  readonly width: number;
}

/** Undefined where elements have to go through registers. @param tensors of buffers */
export function copyOf(tensors: (id: TensorId) => Tensor, { tile, value }: Feed): Copy | undefined {
  const copied = copiedBy(value);
  if (copied === undefined) return undefined;
  const { load, mask } = copied;
  const { dtype, shape } = tensors(load.tensor);
  if (tile.packed === undefined || dtype !== packedFacts[tile.packed].stored) return undefined;
  const count = shape.reduce((total, extent) => total * extent, 1);
  const { bytes } = packedFacts[tile.packed];
  const width = [16 / bytes, 8 / bytes, 4 / bytes].find((each) => {
    const domain = neighbours(tile.axes, each);
    return (
      each > 1 &&
      count % each === 0 &&
      laneStride(load.offset, domain) === 1 &&
      divisorOf(load.offset, domain) % each === 0 &&
      (mask === undefined || laneStride(mask, domain) === 0)
    );
  });
  return width === undefined ? undefined : { ...copied, width };
}

function copiedBy(value: TileExpression): Copied | undefined {
  if (value.op === 'load') return { load: value, mask: undefined };
  if (value.op !== 'apply' || value.function !== 'select') return undefined;
  const [mask, kept, otherwise] = value.operands;
  if (otherwise?.op !== 'constant' || otherwise.value !== 0) return undefined;
  return kept?.op === 'load' ? { load: kept, mask } : undefined;
}

// ── the runs of an invocation ──────────────────────────────────────────────────────────────────────────────

interface Run {
  /** Of the invocation's first run, or its own, and how many rows behind that it is: whole eights. */
  readonly row: Value;
  readonly behind: number;
  readonly column: Value;
  /** Where there are fewer runs than invocations in the last round. */
  readonly guard: Value | undefined;
}

/** Those who copy together: how many, and which of them an invocation is. */
export interface Copiers {
  readonly count: number;
  readonly place: Value;
}

/** All of a workgroup. */
export function everyone({ program: { threads }, places }: Emission): Copiers {
  return { count: threads.rows * threads.columns, place: places.threads };
}

/** @param isRead whether those behind the last run read what it reads, to leave it where it is */
function runsOf(
  { writer }: Emission,
  { tile }: TileState,
  width: number,
  { count: invocations, place: own }: Copiers,
  isRead = false,
): readonly Run[] {
  const [rows, columns] = tile.axes.map(({ extent }) => extent) as [number, number];
  const across = columns / width;
  const runs = (rows * columns) / width;
  /** Rounds that are whole eights of rows apart are in the same columns, and turned alike. */
  const isEven = invocations % (eightRows * across) === 0;
  return Array.from({ length: Math.ceil(runs / invocations) }, (_, round) => {
    const before = round * invocations;
    const placeAt = (at: number) =>
      sumOf(writer, plus(linearValue(own, { isNatural: true }), linearConstant(at)));
    const start = isEven ? 0 : before;
    const isFull = before + invocations <= runs;
    const last = literal(runs - 1 - before + start, 'u32');
    const place =
      isRead && !isFull ? writer.operation('min.u32', 'i32', [placeAt(start), last]) : placeAt(start);
    const piece = writer.operation('rem.u32', 'i32', [place, literal(across, 'u32')]);
    return {
      row: writer.operation('div.u32', 'i32', [place, literal(across, 'u32')]),
      behind: isEven ? before / across : 0,
      column: writer.operation('mul.lo.u32', 'i32', [piece, literal(width, 'u32')]),
      guard: isFull
        ? undefined
        : writer.operation('setp.lt.s32', 'bool', [placeAt(before), literal(runs, 'i32')]),
    };
  });
}

const eightRows = 8;

function pointOf({ tile }: TileState, { row, behind, column }: Run): PointOf<Value> {
  const domain = createDomain(tile.axes.map((axis) => ({ ...axis, block: 4 })));
  const along = (value: Value): Sum => linearValue(value, { isNatural: true });
  const coordinates = [plus(along(row), linearConstant(behind)), along(column)];
  return { domain, width: 4, coordinates, fragment: undefined };
}

/** The address of a run in the tile, of a stage that is so many bytes behind the first one. */
function target(
  emission: Emission,
  state: TileState,
  { row, behind, column }: Run,
  width: number,
  stage: Value | undefined,
): string {
  const { writer, shared } = emission;
  const place = packedPlace(emission, state, row, column, width);
  const inTile = writer.operation('add.u32', 'u32', [sharedStart(emission), place]);
  const address = stage === undefined ? inTile : writer.operation('add.u32', 'u32', [inTile, stage]);
  const displacement = shared.start(state.tile.name) + behind * packedLayout(state.tile).rowBytes;
  return `[${address.text}+${displacement}]`;
}

// ── copying ────────────────────────────────────────────────────────────────────────────────────────────────

/** Begins to copy; `cp.async.wait_group` says when it is there. */
export function beginCopy(
  emission: Emission,
  state: TileState,
  { load, mask, width }: Copy,
  stage: Value | undefined,
  copiers = everyone(emission),
): void {
  const { writer } = emission;
  const bytes = elementBytes(state.tile) * width;
  const inside = isInside(load.offset, bufferOf(emission, load.tensor).count);
  const looksUp = [load.offset, ...(mask === undefined ? [] : [mask])].some((each) => readsMemory(each));
  for (const run of runsOf(emission, state, width, copiers, looksUp)) {
    const point = first(pointOf(state, run));
    const from = copyAddress(emission, load.tensor, linear(emission, load.offset, point), inside, width);
    const into = target(emission, state, run, width, stage);
    const kept = mask && emit(emission, mask, point)[0];
    const size =
      kept && writer.operation('selp.b32', 'u32', [literal(bytes, 'u32'), literal(0, 'u32'), kept]);
    const cache = bytes === 16 ? 'cg' : 'ca';
    const sizes = size === undefined ? `${bytes}` : `${bytes}, ${size.text}`;
    writer.effect(`cp.async.${cache}.shared.global ${into}, ${from}, ${sizes};`, run.guard);
  }
}

/** Computes what an invocation has to bring; `putPacked` brings it. */
export function packedValues(
  emission: Emission,
  state: TileState,
  value: TileExpression,
): readonly (readonly Value[])[] {
  return runsOf(emission, state, 4, everyone(emission), true).map((run) => {
    const lanes: Lanes = emit(emission, value, pointOf(state, run));
    const four = lanesFrom(4, (lane) => laneOf(lanes, lane));
    return unitWords(emission.writer, state.tile.packed!, four);
  });
}

/** Of so many words. */
const vectors: { readonly [words: number]: string } = { 1: '', 2: '.v2', 4: '.v4' };

export function putPacked(
  emission: Emission,
  state: TileState,
  words: readonly (readonly Value[])[],
  stage: Value | undefined,
): void {
  for (const [at, run] of runsOf(emission, state, 4, everyone(emission)).entries()) {
    const into = target(emission, state, run, 4, stage);
    const from = words[at]!.map(({ text }) => text).join(', ');
    const opcode = `st.shared${vectors[words[at]!.length]}.b32`;
    emission.writer.effect(`${opcode} ${into}, ${from.includes(',') ? `{${from}}` : from};`, run.guard);
  }
}
