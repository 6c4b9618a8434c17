/** Tile program to WGSL. */
import type { Tensor, TensorId } from '../../compiler/graph/graph.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { widthOf } from '../../compiler/tiles/lanes.ts';
import { allStatements } from '../../compiler/tiles/tile-builder.ts';
import type { ThreadShape, TileProgram } from '../../compiler/tiles/tile-program.ts';
import { SharedValues } from '../writing/shared-values.ts';
import type { Buffer, Emission, WorkgroupArray } from './emission.ts';
import { helperTexts } from './helpers.ts';
import type { WgslKernel } from './kernel.ts';
import { emitProgram } from './statements.ts';
import { elementsPerWord, viewType } from './storage.ts';
import { sharedName } from './tile-elements.ts';
import { typeText } from './wgsl-text.ts';
import { createWriter } from './writer.ts';

/**
 * Deterministic: the same program gives the same text.
 * @param tensors the types of the tensors that the program's buffers name
 */
export function emitWgsl(
  program: TileProgram,
  tensors: (id: TensorId) => Tensor,
  device: DeviceProfile,
): WgslKernel {
  // The first pass declares all buffers in vectors of four and finds where that is of use.
  const trial = write(program, tensors, device, () => true);
  const { code, grid, gridEnds, workgroupBytes, features } = write(program, tensors, device, (id) =>
    trial.wide.has(id),
  );
  return {
    name: program.name,
    code,
    workgroupSize: [program.threads.columns, program.threads.rows, 1],
    grid,
    ...(gridEnds && { gridEnds }),
    bindings: program.buffers,
    counters: program.counters,
    coordinates: program.coordinates,
    workgroupBytes,
    features,
  };
}

function write(
  program: TileProgram,
  tensors: (id: TensorId) => Tensor,
  device: DeviceProfile,
  wantsFour: (id: TensorId) => boolean,
): Pick<WgslKernel, 'code' | 'grid' | 'gridEnds' | 'workgroupBytes' | 'features'> & {
  readonly wide: ReadonlySet<TensorId>;
} {
  const buffers = new Map(
    program.buffers.map(({ tensor: id, access }): [TensorId, Buffer] => {
      const tensor = tensors(id);
      const count = tensor.shape.reduce((total, extent) => total * extent, 1);
      const isFour = count % 4 === 0 && elementsPerWord(tensor.dtype) !== 4 && wantsFour(id);
      return [
        id,
        {
          name: `${identifier(tensor.name)}_t${id}`,
          tensor,
          view: isFour ? 'four' : 'single',
          wide: { used: false },
          constant: access === 'read',
          version: 0,
        },
      ];
    }),
  );
  const writer = createWriter();
  const emission: Emission = {
    written: new SharedValues(),
    program,
    writer,
    buffers,
    tiles: new Map(),
    helpers: new Map(),
    scratch: new Map(),
    barriers: { read: new Set(), written: new Set() },
    synchronize: () => writer.statement('workgroupBarrier();'),
    loopDepths: new Map(),
    subgroupSize: device.subgroupSize,
    usesSubgroups: false,
  };
  const { grid, gridEnds } = emitGrid(emission, device.maxWorkgroupsPerDimension);
  emitProgram(emission);
  const { rows, columns } = program.threads;
  const body = writer.render();
  const workgroupArrays = [...sharedArrays(program), ...emission.scratch.values()];
  const code = [
    ...(emission.usesSubgroups ? ['enable subgroups;', ''] : []),
    ...program.buffers.map(({ tensor: id, access }, binding) => {
      const { name, tensor, view } = buffers.get(id)!;
      const mode = access === 'read' ? 'read' : 'read_write';
      return `@group(0) @binding(${binding}) var<storage, ${mode}> ${name}: array<${viewType(tensor.dtype, view)}>;`;
    }),
    ...(program.counters.length + program.coordinates.length > 0
      ? [`@group(0) @binding(${program.buffers.length}) var<uniform> counters: vec4<u32>;`]
      : []),
    ...workgroupArrays.map(
      ({ name, dtype, width, count }) =>
        `var<workgroup> ${name}: array<${typeText(dtype, width)}, ${count}>;`,
    ),
    '',
    ...helperTexts(emission.helpers.values()).flatMap((text) => [text, '']),
    `@compute @workgroup_size(${columns}, ${rows}, 1)`,
    'fn main(',
    '  @builtin(workgroup_id) workgroup: vec3u,',
    '  @builtin(local_invocation_index) invocation: u32,',
    ...(emission.usesSubgroups ? ['  @builtin(subgroup_invocation_id) subgroup_lane: u32,'] : []),
    ') {',
    '  let thread = i32(invocation);',
    ...threadPlace(program.threads)
      .filter(({ name }) => new RegExp(`\\b${name}\\b`).test(body))
      .map(({ name, value }) => `  let ${name} = ${value};`),
    ...(emission.usesSubgroups ? ['  let lane = i32(subgroup_lane);'] : []),
    body,
    '}',
    '',
  ].join('\n');
  return {
    code,
    grid,
    ...(gridEnds && { gridEnds }),
    workgroupBytes: workgroupArrays.reduce(
      (total, { width, count }) => total + scalarBytes * width * count,
      0,
    ),
    features: emission.usesSubgroups ? ['subgroups'] : [],
    wide: new Set([...buffers].flatMap(([id, buffer]) => (buffer.wide.used ? [id] : []))),
  };
}

/** An invocation's row and column, from its number. */
function threadPlace({ rows, columns }: ThreadShape): { readonly name: string; readonly value: string }[] {
  return [
    { name: 'row', value: rows === 1 ? '0' : columns === 1 ? 'thread' : `thread / ${columns}` },
    { name: 'column', value: columns === 1 ? '0' : rows === 1 ? 'thread' : `thread % ${columns}` },
  ];
}

/**
 * Names the workgroup's place along each grid axis. A grid of up to three axes that fit is dispatched as it
 * is; any other is counted through and folded into two dimensions, the workgroups beyond its end doing
 * nothing. Only of the former fewer may be dispatched in a run.
 */
function emitGrid(emission: Emission, limit: number): Pick<WgslKernel, 'grid' | 'gridEnds'> {
  const { grid: extents, gridEnds } = emission.program;
  const { writer } = emission;
  const dimensions = ['x', 'y', 'z'] as const;
  if (extents.length <= 3 && extents.every((extent) => extent <= limit)) {
    const reversed = [...extents].reverse();
    for (const [at, axis] of [...extents.keys()].reverse().entries())
      writer.statement(`let g${axis} = i32(workgroup.${dimensions[at]});`);
    const ends = gridEnds?.toReversed();
    return {
      grid: [reversed[0] ?? 1, reversed[1] ?? 1, reversed[2] ?? 1],
      ...(ends && { gridEnds: [ends[0], ends[1], ends[2]] }),
    };
  }
  const total = extents.reduce((product, extent) => product * extent, 1);
  const across = Math.min(total, limit);
  writer.statement(`let group = i32(workgroup.y) * ${across} + i32(workgroup.x);`);
  const down = Math.ceil(total / across);
  if (across * down !== total) writer.statement(`if (group >= ${total}) { return; }`);
  let stride = total;
  for (const [axis, extent] of extents.entries()) {
    stride /= extent;
    const upper = stride === 1 ? 'group' : `group / ${stride}`;
    writer.statement(`let g${axis} = ${axis === 0 ? upper : `(${upper}) % ${extent}`};`);
  }
  return { grid: [across, down, 1] };
}

/** Of each arithmetic type, in memory. */
const scalarBytes = 4;

/** One for each name: a tile may be defined in several places. */
function sharedArrays(program: TileProgram): WorkgroupArray[] {
  const arrays = allStatements(program.body).flatMap((statement): [string, WorkgroupArray][] => {
    if (statement.kind !== 'define' || statement.tile.space !== 'shared') return [];
    const { name, dtype, axes } = statement.tile;
    const width = widthOf(axes);
    const count = axes.reduce((total, axis) => total * axis.extent, 1) / width;
    return [[name, { name: sharedName(name), dtype, width, count }]];
  });
  return [...new Map(arrays).values()];
}

/** A name made fit for WGSL; the tensor's number after it makes it unique, and no keyword. */
function identifier(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
  return /^[A-Za-z]/.test(plain) ? plain : `t${plain}`;
}
