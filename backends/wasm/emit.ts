/** Tile programs to one WebAssembly module, a function each. */
import type { LoopId, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { packedBytes } from '../../compiler/plan/storage-bytes.ts';
import { onLines } from '../../compiler/plan/wasm-memory.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { GridEnd } from '../../compiler/tiles/ends.ts';
import type { TileBuffer, TileProgram } from '../../compiler/tiles/tile-program.ts';
import { linearConstant, linearValue, plus, times } from '../writing/linear.ts';
import { SharedValues } from '../writing/shared-values.ts';
import type { FunctionCode, ModuleCode } from './code.ts';
import type { Buffer, Emission } from './emission.ts';
import { type HelperName, helperFunction } from './helpers.ts';
import type { Linear } from './linear.ts';
import { emitProgram } from './statements.ts';
import { literal } from './values.ts';
import { type Value, Writer } from './writer.ts';

/**
 * `name(first, end, pointers…, counters…, coordinates…, groups…)` runs the workgroups from `first` to before
 * `end`, of the grid counted through with its last axis fastest. `groups` are how many there are in a run,
 * along those axes of which a run decides. All are i32.
 */
export interface WasmKernel {
  readonly name: string;
  /** Workgroups of the whole grid. */
  readonly groups: number;
  readonly bindings: readonly TileBuffer[];
  readonly counters: readonly LoopId[];
  readonly coordinates: readonly string[];
  /** Of the memory that the thread has to itself, how much it uses; none where it is left out. */
  readonly scratchBytes?: number;
  /** Of a bounded program. */
  readonly axes?: {
    readonly groups: readonly number[];
    readonly ends: readonly (GridEnd | undefined)[];
  };
}

export interface WasmModule {
  readonly kernels: readonly WasmKernel[];
  readonly code: ModuleCode;
}

/**
 * Deterministic: the same programs and device give the same module.
 * @param tensors the types of the tensors that the programs' buffers name
 */
export function emitWasm(
  programs: readonly TileProgram[],
  tensors: (id: TensorId) => Tensor,
  { core }: DeviceProfile,
): WasmModule {
  const helpers = new Set<HelperName>();
  const shared = { helpers, multiplyAdd: core?.multiplyAdd === true };
  const functions = programs.map((program) => emitKernel(program, tensors, shared));
  const written = [...helpers].sort().map((name) => helperFunction(name, shared.multiplyAdd));
  return {
    kernels: programs.map(({ name, grid, gridEnds, buffers, scratch = [], counters, coordinates }) => ({
      ...{ name, counters, coordinates },
      ...(scratch.length === 0 ? {} : { scratchBytes: scratchOf(scratch, tensors).bytes }),
      ...(gridEnds === undefined ? {} : { axes: { groups: grid, ends: gridEnds } }),
      groups: grid.reduce((total, extent) => total * extent, 1),
      bindings: buffers,
    })),
    code: {
      functions: [...written, ...functions],
      hasScratch: programs.some(({ scratch }) => scratch !== undefined),
    },
  };
}

function emitKernel(
  program: TileProgram,
  tensors: (id: TensorId) => Tensor,
  shared: Pick<Emission, 'helpers' | 'multiplyAdd'>,
): FunctionCode {
  const { buffers, scratch = [], counters, coordinates, gridEnds = [] } = program;
  const inRun = gridEnds.filter((end) => end !== undefined);
  const parameters = Array.from(
    { length: 2 + buffers.length + counters.length + coordinates.length + inRun.length },
    () => 'i32' as const,
  );
  const writer = new Writer(parameters);
  let next = 0;
  const parameter = (): Value => writer.parameter(next++, 'i32');
  const [first, end] = [parameter(), parameter()];
  const emission: Emission = {
    written: new SharedValues(),
    ...{ program, writer, ...shared },
    buffers: new Map([
      ...buffers.map(({ tensor: id, access }): [TensorId, Buffer] => {
        const tensor = tensors(id);
        const count = elementCount(tensor);
        return [id, { tensor, count, pointer: parameter(), constant: access === 'read', version: 0 }];
      }),
      ...scratchOf(scratch, tensors).places.map(({ tensor, firstByte }): [TensorId, Buffer] => {
        const pointer = writer.instruction('i32.add', 'i32', [writer.scratch(), literal(firstByte, 'i32')]);
        return [tensor.id, { tensor, count: elementCount(tensor), pointer, constant: false, version: 0 }];
      }),
    ]),
    counters: new Map(counters.map((loop) => [loop, parameter()])),
    coordinates: new Map(coordinates.map((axis) => [axis, parameter()])),
    grid: [],
    places: { rows: linearConstant(0), columns: linearConstant(0), threads: linearConstant(0) },
    variables: new Map(),
    tiles: new Map(),
  };
  const groups = program.grid.map((most, axis) =>
    gridEnds[axis] === undefined ? literal(most, 'i32') : parameter(),
  );
  writer.loop(first, end, 1, (group) => {
    const grid = gridPlaces(writer, group, program.grid, groups);
    overInvocations({ ...emission, grid });
  });
  const { locals, body } = writer.render();
  // A kernel must not have a helper's name.
  return { name: kernelName(program.name), parameters, result: undefined, locals, body, exported: true };
}

/** Where tensors lie in the memory that a thread has to itself, one behind the other. */
function scratchOf(
  scratch: readonly TensorId[],
  tensors: (id: TensorId) => Tensor,
): {
  readonly places: readonly { readonly tensor: Tensor; readonly firstByte: number }[];
  readonly bytes: number;
} {
  let bytes = 0;
  const places = scratch.map((id) => {
    const place = { tensor: tensors(id), firstByte: bytes };
    bytes += onLines(packedBytes(place.tensor));
    return place;
  });
  return { places, bytes };
}

/** In the module; helpers have other names. */
export function kernelName(name: string): string {
  return `kernel_${name}`;
}

/**
 * The workgroup's place along each axis of the grid.
 * @param most by axis, and `groups` how many there are in a run
 */
function gridPlaces(
  writer: Writer,
  group: Value,
  most: readonly number[],
  groups: readonly Value[],
): Value[] {
  const places: Value[] = [];
  let rest = group;
  for (let axis = most.length - 1; axis >= 0; axis--) {
    const isSlowest = most.slice(0, axis).every((count) => count === 1);
    const by = groups[axis]!;
    places.unshift(
      most[axis] === 1
        ? literal(0, 'i32')
        : isSlowest
          ? rest
          : writer.instruction('i32.rem_u', 'i32', [rest, by]),
    );
    if (!isSlowest && most[axis] !== 1) rest = writer.instruction('i32.div_u', 'i32', [rest, by]);
  }
  return places;
}

/** Invocations do not meet: one after the other runs the whole body. */
function overInvocations(emission: Emission): void {
  const { program, writer } = emission;
  const { rows, columns } = program.threads;
  const along = (count: number, body: (place: Linear) => void): void => {
    if (count === 1) body(linearConstant(0));
    else
      writer.loop(literal(0, 'i32'), literal(count, 'i32'), 1, (place) =>
        body(linearValue(place, { isNatural: true })),
      );
  };
  along(rows, (row) =>
    along(columns, (column) => {
      const places = { rows: row, columns: column, threads: plus(times(row, columns), column) };
      emitProgram({ ...emission, places, tiles: new Map() });
    }),
  );
}
