/** Tile program to PTX. */
import type { LoopId, Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import type { PtxMap } from '../../../compiler/plan/plan-ptx-package.ts';
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import type { TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import { SharedValues } from '../../writing/shared-values.ts';
import type { Buffer, Emission } from './emission.ts';
import type { PtxKernel } from './kernel.ts';
import { leastBlocks } from './residency.ts';
import { sharedSymbol } from './shared-memory.ts';
import { sharedPlaces } from './shared-places.ts';
import { fileDirectives, locating, type SourceLines, unknownLines } from './source-lines.ts';
import { mapsOf, producers, specialisedAs } from './specialisation.ts';
import { emitSpecialised } from './specialised.ts';
import { emitStatements, uniform } from './statements.ts';
import { unitPlaces } from './units.ts';
import { literal, type Value } from './values.ts';
import { Writer } from './writer.ts';

/**
 * Deterministic: the same program gives the same text.
 * @param tensors the types of the tensors that the program's buffers name
 * @param lines where what they hold is computed
 */
export function emitPtx(
  program: TileProgram,
  tensors: (id: TensorId) => Tensor,
  target: PtxTarget,
  lines: SourceLines = unknownLines,
): PtxKernel {
  const writer = new Writer();
  const { rows, columns } = program.threads;
  const read = (name: string, type: 'u64' | 'u32') =>
    writer.compute(
      [type === 'u64' ? 'address' : 'i32'],
      [],
      ([result]) => `ld.param.${type} ${result}, [${name}];`,
    )[0]!;
  const buffers = new Map(
    program.buffers.map(({ tensor: id, access }, at): [TensorId, Buffer] => {
      const tensor = tensors(id);
      const count = tensor.shape.reduce((total, extent) => total * extent, 1);
      const pointer = writer.operation('cvta.to.global.u64', 'address', [read(`buffer${at}`, 'u64')]);
      return [id, { tensor, count, pointer, constant: access === 'read', version: 0 }];
    }),
  );
  const threads = special(writer, 'tid.x');
  const along = (opcode: string) => writer.operation(opcode, 'i32', [threads, literal(columns, 'u32')]);
  const { launch, places: grid } = launched(writer, program);
  const shared = sharedPlaces(program);
  const specialised = specialisedAs(program, target, tensors);
  const maps = specialised === undefined ? [] : mapsOf(specialised, program);
  const mapAddresses = maps.map((_, at) => read(`map${at}`, 'u64'));
  const places = {
    threads,
    rows: rows === 1 ? literal(0, 'i32') : columns === 1 ? threads : along('div.u32'),
    columns: columns === 1 ? literal(0, 'i32') : rows === 1 ? threads : along('rem.u32'),
  };
  const emission: Emission = {
    written: new SharedValues(),
    ...{ program, target, writer, buffers, grid, locate: locating(writer, lines, program) },
    flights: [],
    landed: () => {},
    ...{ specialised, maps: mapAddresses },
    taken: [],
    uniform: (expression) => uniform(emission, expression),
    barriers: { read: new Set(), written: new Set() },
    synchronize: () =>
      writer.effect(specialised === undefined ? 'bar.sync 0;' : `bar.sync 1, ${specialised.consumers};`),
    counters: new Map(program.counters.map((id, at): [LoopId, Value] => [id, read(`counter${at}`, 'u32')])),
    coordinates: new Map(program.coordinates.map((axis, at) => [axis, read(`coordinate${at}`, 'u32')])),
    ...{ places, unit: unitPlaces(writer, places, columns) },
    ...{ variables: new Map(), ahead: undefined },
    tiles: new Map(),
    shared,
    inPlaceOf: shared.inPlaceOf,
    scratchVersion: 0,
  };
  const write = (statements: readonly TileStatement[]) => emitStatements(emission, statements);
  if (specialised === undefined) write(program.body);
  else emitSpecialised(emission, specialised, write);
  const block = rows * columns + (specialised === undefined ? 0 : producers);
  const parameters = parametersOf(program, maps);
  const blocks = leastBlocks({ program, target, specialised }, shared.bytes());
  const entry = [
    ...program.buffers.map(({ tensor }, at) => `// buffer${at}: ${described(tensors(tensor))}`),
    `.visible .entry ${program.name}(`,
    parameters.map(({ name, type }) => `  .param .${type} ${name}`).join(',\n'),
    ')',
    `.maxntid ${block}, 1, 1`,
    ...(specialised === undefined || specialised.cluster === 1
      ? []
      : [`.reqnctapercluster ${specialised.cluster}, 1, 1`]),
    ...(blocks === undefined ? [] : [`.minnctapersm ${blocks}`]),
    '{',
    writer.render(),
    '  ret;',
    '}',
    '',
  ].join('\n');
  return {
    name: program.name,
    entry,
    files: lines.files,
    block,
    ...launch,
    bindings: program.buffers,
    maps,
    counters: program.counters,
    coordinates: program.coordinates,
    sharedBytes: shared.bytes(),
  };
}

/** The least version of PTX that has all that is written for a target. */
const versions: { readonly [T in PtxTarget]: string } = { sm_80: '7.0', sm_90a: '8.0' };

/** A module of the kernels, whose names differ, and which are of one program. */
export function moduleText(target: PtxTarget, kernels: readonly PtxKernel[]): string {
  const files = kernels.find((kernel) => kernel.files.length > 0)?.files ?? [];
  const directives = [`.version ${versions[target]}`, `.target ${target}`, '.address_size 64'];
  const head = [...directives, ...fileDirectives(files), ''];
  if (kernels.some(({ sharedBytes }) => sharedBytes > 0))
    head.push(`.extern .shared .align 1024 .b8 ${sharedSymbol}[];`, '');
  return [...head, ...kernels.map(({ entry }) => entry)].join('\n');
}

function parametersOf({ buffers, counters, coordinates }: TileProgram, maps: readonly PtxMap[]) {
  const named = (name: string, type: string, all: readonly unknown[]) =>
    all.map((_, at) => ({ name: `${name}${at}`, type }));
  return [
    ...named('buffer', 'u64', buffers),
    ...named('map', 'u64', maps),
    ...named('counter', 'u32', counters),
    ...named('coordinate', 'u32', coordinates),
  ];
}

function described({ name, dtype, shape }: Tensor): string {
  // PTX is ASCII, in comments too.
  return `${name}: ${dtype}[${shape.join(', ')}]`.replace(/[^ -~]/g, '_');
}

function special(writer: Writer, name: string): Value {
  return writer.compute(['i32'], [], ([result]) => `mov.u32 ${result}, %${name};`)[0]!;
}

/** Blocks along the first dimension of a grid, and along the others. */
const mostBlocks = [2 ** 31 - 1, 65_535, 65_535] as const;
const dimensions = ['x', 'y', 'z'] as const;

interface Launched {
  readonly launch: Pick<PtxKernel, 'grid' | 'gridEnds'>;
  /** The workgroup's place along each grid axis. */
  readonly places: readonly Value[];
}

/**
 * A grid of up to three axes that fit is launched as it is; any other is counted through in the first
 * dimension. Only of the former fewer may be launched in a run.
 */
function launched(writer: Writer, { grid: extents, gridEnds, name }: TileProgram): Launched {
  const [x = 1, y = 1, z = 1] = extents.toReversed();
  if (extents.length <= 3 && [x, y, z].every((extent, at) => extent <= mostBlocks[at]!)) {
    const ends = gridEnds?.toReversed();
    const places = extents.map((extent, axis) =>
      extent === 1 ? literal(0, 'i32') : special(writer, `ctaid.${dimensions[extents.length - 1 - axis]!}`),
    );
    return { launch: { grid: [x, y, z], ...(ends && { gridEnds: [ends[0], ends[1], ends[2]] }) }, places };
  }
  const total = extents.reduce((product, extent) => product * extent, 1);
  if (total > mostBlocks[0]) throw new Error(`${name} has ${total} workgroups`);
  const block = special(writer, 'ctaid.x');
  let stride = total;
  const places = extents.map((extent, axis) => {
    stride /= extent;
    const upper = stride === 1 ? block : writer.operation('div.u32', 'i32', [block, literal(stride, 'u32')]);
    return axis === 0 ? upper : writer.operation('rem.u32', 'i32', [upper, literal(extent, 'u32')]);
  });
  return { launch: { grid: [total, 1, 1] }, places };
}
