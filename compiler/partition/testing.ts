/**
 * For tests: a mesh of devices that hold blocks and send each other messages. Each change is carried out by
 * what its name says in a communicator, knowing local shapes and ranks only; the meaning of a placement, which
 * the results are compared with, is written here once more, by itself.
 */
import type { AxisList, Mesh, PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import { deviceCount } from '../../dsl/placement/placement.ts';
import { permutationSources } from './blocks.ts';
import type { ChangeKind, ChangeOf, PlacementChange } from './change.ts';

/** Row-major. */
export interface Block {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** `mesh({ a: 2, b: 3 })`, row-major. */
export function meshOf(sizes: Readonly<Record<string, number>>): Mesh {
  return { axes: Object.entries(sizes).map(([name, size]) => ({ name, size })) };
}

/** `placed(['a b', ''], { c: 'sum' })`: the first dimension over a and b, the second whole. */
export function placed(
  dims: readonly string[],
  pending: Readonly<Record<string, PendingCombiner>> = {},
): Placement {
  return {
    dims: dims.map((list) => (list === '' ? [] : list.split(' '))),
    pending: new Map(Object.entries(pending).sort(([left], [right]) => (left < right ? -1 : 1))),
  };
}

/** Every placement of so many dimensions, each axis pending for a sum, in a list, or neither. */
export function allPlacements(rank: number, axes: AxisList): readonly Placement[] {
  let found: Placement[] = [{ dims: Array.from({ length: rank }, () => []), pending: new Map() }];
  for (const axis of [...axes].sort())
    found = found.flatMap(({ dims, pending }) => [
      { dims, pending },
      { dims, pending: new Map([...pending, [axis, 'sum' as const]]) },
      ...dims.flatMap((list, dim) =>
        Array.from({ length: list.length + 1 }, (_, place) => ({
          dims: dims.with(dim, list.toSpliced(place, 0, axis)),
          pending,
        })),
      ),
    ]);
  return found;
}

/** Every change of tensors of so many dimensions over the axes, most of them faults of a given placement. */
export function allChanges(rank: number, axes: AxisList): readonly PlacementChange[] {
  const dims = Array.from({ length: rank }, (_, dim) => dim);
  const permutations = allPlacements(rank, axes).map((to): PlacementChange => ({ kind: 'permute', to }));
  return [
    ...permutations,
    ...orderedChoices(axes).flatMap((list): readonly PlacementChange[] => [
      { kind: 'all_gather', axes: list },
      { kind: 'all_reduce', axes: list },
      { kind: 'broadcast', axes: list },
      { kind: 'mask', axes: list },
      ...dims.flatMap((dim): readonly PlacementChange[] => [
        { kind: 'slice', axes: list, dim },
        { kind: 'reduce_scatter', axes: list, dim },
        ...dims.map((to): PlacementChange => ({ kind: 'all_to_all', axes: list, from: dim, to })),
      ]),
    ]),
  ];
}

/** Some of the axes, in every order. */
function orderedChoices(axes: AxisList): readonly AxisList[] {
  const longer = axes.flatMap((axis) =>
    orderedChoices(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]),
  );
  return [[], ...longer];
}

/** Elements 0, 1, 2 …, so that no two are alike. */
export function counting(shape: readonly number[]): Block {
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: Array.from({ length: count }, (_, at) => at + 1) };
}

/** Small integers, always the same ones. */
export function smallIntegers(): () => number {
  let state = 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return (state % 17) - 8;
  };
}

// ── what a placement means ─────────────────────────────────────────────────────────────────────────────────

/** The coordinate of a device along an axis. */
function coordinate(mesh: Mesh, device: number, axis: string): number {
  const place = mesh.axes.findIndex(({ name }) => name === axis);
  const inner = mesh.axes.slice(place + 1).reduce((count, { size }) => count * size, 1);
  return Math.floor(device / inner) % mesh.axes[place]!.size;
}

/** The coordinates of a device along the axes, read as digits. */
function rankOf(mesh: Mesh, device: number, axes: AxisList): number {
  return axes.reduce((rank, axis) => rank * sizeOf(mesh, [axis]) + coordinate(mesh, device, axis), 0);
}

function sizeOf(mesh: Mesh, axes: AxisList): number {
  return axes.reduce((count, axis) => count * mesh.axes.find(({ name }) => name === axis)!.size, 1);
}

/**
 * The tensor as the devices hold it: blocks, and along pending axes parts that combine to it.
 *
 * @param random a small integer
 */
export function distribute(whole: Block, placement: Placement, mesh: Mesh, random: () => number): Block[] {
  const pending = [...placement.pending.keys()];
  const parts = splitValue(whole, combinerOf(placement), sizeOf(mesh, pending), random);
  return Array.from({ length: deviceCount(mesh) }, (_, device) =>
    blockOf(parts[rankOf(mesh, device, pending)]!, placement, mesh, device),
  );
}

function blockOf(whole: Block, { dims }: Placement, mesh: Mesh, device: number): Block {
  return dims.reduce(
    (block, axes, dim) => chunk(block, dim, sizeOf(mesh, axes), rankOf(mesh, device, axes)),
    whole,
  );
}

function combinerOf({ pending }: Placement): PendingCombiner {
  return [...pending.values()][0] ?? 'sum';
}

interface CombinerRule {
  readonly combine: (left: number, right: number) => number;
  /** Parts of a value, of which all but the last are made of random numbers. */
  readonly split: (value: number, randoms: readonly number[]) => readonly number[];
}

const combinerRules: Readonly<Record<PendingCombiner, CombinerRule>> = {
  sum: {
    combine: (left, right) => left + right,
    split: (value, randoms) => [...randoms, randoms.reduce((rest, one) => rest - one, value)],
  },
  max: {
    combine: (left, right) => Math.max(left, right),
    split: (value, randoms) => [...randoms.map((one) => value - Math.abs(one)), value],
  },
  min: {
    combine: (left, right) => Math.min(left, right),
    split: (value, randoms) => [...randoms.map((one) => value + Math.abs(one)), value],
  },
};

function splitValue(whole: Block, combiner: PendingCombiner, count: number, random: () => number): Block[] {
  const { split } = combinerRules[combiner];
  const elements = whole.data.map((value) => split(value, Array.from({ length: count - 1 }, random)));
  return Array.from({ length: count }, (_, part) => ({
    shape: whole.shape,
    data: elements.map((parts) => parts[part]!),
  }));
}

/** Whether the devices hold the tensor so placed: each its block, copies alike, parts that combine to it. */
export function holds(blocks: readonly Block[], whole: Block, placement: Placement, mesh: Mesh): boolean {
  const pending = [...placement.pending.keys()];
  const { combine } = combinerRules[combinerOf(placement)];
  const used = [...placement.dims.flat(), ...pending];
  const unused = mesh.axes.map(({ name }) => name).filter((name) => !used.includes(name));
  const partsOf = groupsOf(mesh, pending);
  const copiesOf = groupsOf(mesh, unused);
  return blocks.every((block, device) => {
    const parts = partsOf[device]!.map((member) => blocks[member]!.data);
    const combined = block.data.map((_, at) => parts.map((part) => part[at]!).reduce(combine));
    const copies = copiesOf[device]!.map((member) => blocks[member]!);
    return (
      sameBlock({ shape: block.shape, data: combined }, blockOf(whole, placement, mesh, device)) &&
      copies.every((copy) => sameBlock(copy, block))
    );
  });
}

function sameBlock(left: Block, right: Block): boolean {
  return left.shape.join() === right.shape.join() && left.data.every((value, at) => value === right.data[at]);
}

/** One of so many equal parts along a dimension. */
function chunk({ shape, data }: Block, dim: number, parts: number, which: number): Block {
  const size = shape[dim]! / parts;
  const inner = shape.slice(dim + 1).reduce((count, extent) => count * extent, 1);
  const inside = (at: number): boolean => Math.floor((Math.floor(at / inner) % shape[dim]!) / size) === which;
  return { shape: shape.with(dim, size), data: data.filter((_, at) => inside(at)) };
}

/** Blocks one after another along a dimension. */
function concatenate(blocks: readonly Block[], dim: number): Block {
  const [first] = blocks;
  const { shape } = first!;
  const inner = shape.slice(dim).reduce((count, extent) => count * extent, 1);
  const outer = shape.slice(0, dim).reduce((count, extent) => count * extent, 1);
  const rows = Array.from({ length: outer }, (_, row) =>
    blocks.flatMap(({ data }) => data.slice(row * inner, (row + 1) * inner)),
  );
  return { shape: shape.with(dim, shape[dim]! * blocks.length), data: rows.flat() };
}

/** For each device those that differ from it along the axes only, in order of rank, itself included. */
function groupsOf(mesh: Mesh, axes: AxisList): readonly (readonly number[])[] {
  const others = mesh.axes.map(({ name }) => name).filter((name) => !axes.includes(name));
  const groups = Array.from({ length: sizeOf(mesh, others) }, (): number[] => []);
  const devices = Array.from({ length: deviceCount(mesh) }, (_, device) => device);
  for (const device of devices) groups[rankOf(mesh, device, others)]![rankOf(mesh, device, axes)] = device;
  return devices.map((device) => groups[rankOf(mesh, device, others)]!);
}

// ── carrying out a change ──────────────────────────────────────────────────────────────────────────────────

/** Elements that each device sent and received, and the rounds of messages in which it sent any. */
export interface Counted {
  readonly sent: readonly number[];
  readonly received: readonly number[];
  readonly rounds: number;
}

interface Network {
  readonly mesh: Mesh;
  /** Everyone sends at once; returns what each got. Messages to oneself, and of nothing, are none. */
  readonly exchange: <T extends readonly number[]>(
    messages: readonly { readonly from: number; readonly to: number; readonly data: T }[],
  ) => ReadonlyMap<number, T>;
  readonly counted: () => Counted;
}

function networkOf(mesh: Mesh): Network {
  const sent = Array.from({ length: deviceCount(mesh) }, () => 0);
  const received = sent.map(() => 0);
  let rounds = 0;
  return {
    mesh,
    exchange(messages) {
      const crossing = messages.filter(({ from, to }) => from !== to);
      if (crossing.length > 0) rounds += 1;
      for (const { from, to, data } of crossing) {
        sent[from]! += data.length;
        received[to]! += data.length;
      }
      return new Map(messages.map(({ to, data }) => [to, data]));
    },
    counted: () => ({ sent, received, rounds }),
  };
}

/** The blocks after a change, which the placement before it allows. */
export function carryOut(
  blocks: readonly Block[],
  placement: Placement,
  change: PlacementChange,
  mesh: Mesh,
): { readonly blocks: readonly Block[]; readonly counted: Counted } {
  const network = networkOf(mesh);
  const run = executors[change.kind] as Executor<ChangeKind>;
  return { blocks: run(network, blocks, change, placement), counted: network.counted() };
}

type Executor<K extends ChangeKind> = (
  network: Network,
  blocks: readonly Block[],
  change: ChangeOf<K>,
  placement: Placement,
) => readonly Block[];

const executors: { readonly [K in ChangeKind]: Executor<K> } = {
  all_gather(network, blocks, { axes }, { dims }) {
    const dim = Math.max(
      0,
      dims.findIndex((list) => list.includes(axes[0]!)),
    );
    const gathered = ringGather(
      network,
      blocks.map(({ data }) => data),
      axes,
    );
    return blocks.map(({ shape }, device) =>
      concatenate(
        gathered[device]!.map((data) => ({ shape, data })),
        dim,
      ),
    );
  },
  all_reduce(network, blocks, { axes }, { pending }) {
    const devices = sizeOf(network.mesh, axes);
    const reduced = ringReduce(
      network,
      blocks.map(({ data }) => unevenChunks(data, devices)),
      axes,
      pending,
    );
    const gathered = ringGather(network, reduced, axes);
    return blocks.map(({ shape }, device) => ({ shape, data: gathered[device]!.flat() }));
  },
  reduce_scatter(network, blocks, { axes, dim }, { pending }) {
    const devices = sizeOf(network.mesh, axes);
    const chunks = blocks.map((block) =>
      Array.from({ length: devices }, (_, which) => chunk(block, dim, devices, which)),
    );
    const data = chunks.map((row) => row.map((one) => one.data));
    return ringReduce(network, data, axes, pending).map((mine, device) => ({
      shape: chunks[device]![0]!.shape,
      data: mine,
    }));
  },
  all_to_all(network, blocks, { axes, from, to }) {
    const { mesh } = network;
    const devices = sizeOf(mesh, axes);
    const groups = groupsOf(mesh, axes);
    const parts = blocks.map((block, device) =>
      Array.from({ length: devices }, () => chunk(block, to, devices, rankOf(mesh, device, axes))),
    );
    for (let distance = 1; distance < devices; distance++) {
      const messages = blocks.map((block, sender) => {
        const rank = (rankOf(mesh, sender, axes) + distance) % devices;
        const receiver = groups[sender]![rank]!;
        return { from: sender, to: receiver, data: chunk(block, to, devices, rank).data };
      });
      const got = network.exchange(messages);
      for (const { from: sender, to: receiver } of messages) {
        const { shape } = parts[receiver]![0]!;
        parts[receiver]![rankOf(mesh, sender, axes)] = { shape, data: got.get(receiver)! };
      }
    }
    return parts.map((blocksInOrder) => concatenate(blocksInOrder, from));
  },
  broadcast(network, blocks, { axes }) {
    const { mesh } = network;
    const groups = groupsOf(mesh, axes);
    let held = [...blocks];
    for (let step = 1; step < sizeOf(mesh, axes); step++) {
      const messages = held.flatMap(({ data }, from) => {
        const to = groups[from]![step];
        return to !== undefined && rankOf(mesh, from, axes) === step - 1 ? [{ from, to, data }] : [];
      });
      const got = network.exchange(messages);
      held = held.map(({ shape, data }, device) => ({ shape, data: got.get(device) ?? data }));
    }
    return held;
  },
  slice({ mesh }, blocks, { axes, dim }) {
    return blocks.map((block, device) => chunk(block, dim, sizeOf(mesh, axes), rankOf(mesh, device, axes)));
  },
  mask({ mesh }, blocks, { axes }) {
    return blocks.map(({ shape, data }, device) => ({
      shape,
      data: rankOf(mesh, device, axes) === 0 ? data : data.map(() => 0),
    }));
  },
  permute(network, blocks, { to }, placement) {
    const sources = permutationSources(placement, to, network.mesh);
    const got = network.exchange(
      sources.map((from, device) => ({ from, to: device, data: blocks[from]!.data })),
    );
    return blocks.map(({ shape }, device) => ({ shape, data: got.get(device)! }));
  },
};

/** Chunks that differ in size by one element at most, larger ones first. */
function unevenChunks(data: readonly number[], count: number): readonly (readonly number[])[] {
  const start = (which: number): number =>
    which * Math.floor(data.length / count) + Math.min(which, data.length % count);
  return Array.from({ length: count }, (_, which) => data.slice(start(which), start(which + 1)));
}

/** Each sends to the next in its group, `devices − 1` times, what it got the time before; [device][rank]. */
function ringGather(
  network: Network,
  own: readonly (readonly number[])[],
  axes: AxisList,
): readonly (readonly (readonly number[])[])[] {
  const { mesh } = network;
  const devices = sizeOf(mesh, axes);
  const next = nextOnes(mesh, axes);
  const known = own.map((data, device) => {
    const row: (readonly number[])[] = Array.from({ length: devices }, () => []);
    row[rankOf(mesh, device, axes)] = data;
    return row;
  });
  for (let step = 0; step < devices - 1; step++) {
    const at = (device: number, back: number): number =>
      (rankOf(mesh, device, axes) - back + 2 * devices) % devices;
    const got = network.exchange(
      own.map((_, from) => ({ from, to: next[from]!, data: known[from]![at(from, step)]! })),
    );
    for (const [device, data] of got) known[device]![at(device, step + 1)] = data;
  }
  return known;
}

/** Chunks travel around the group and are added to; each ends where its number is the rank. */
function ringReduce(
  network: Network,
  chunks: readonly (readonly (readonly number[])[])[],
  axes: AxisList,
  pending: Placement['pending'],
): readonly (readonly number[])[] {
  const { mesh } = network;
  const devices = sizeOf(mesh, axes);
  const next = nextOnes(mesh, axes);
  const { combine } = combinerRules[pending.get(axes[0]!) ?? 'sum'];
  const at = (device: number, back: number): number =>
    (rankOf(mesh, device, axes) - back + 2 * devices) % devices;
  let travelling = chunks.map((row, device) => row[at(device, 1)]!);
  for (let step = 1; step < devices; step++) {
    const got = network.exchange(travelling.map((data, from) => ({ from, to: next[from]!, data })));
    travelling = chunks.map((row, device) =>
      row[at(device, step + 1)]!.map((value, place) => combine(value, got.get(device)![place]!)),
    );
  }
  return travelling;
}

/** For each device the one after it in its group, around. */
function nextOnes(mesh: Mesh, axes: AxisList): readonly number[] {
  return groupsOf(mesh, axes).map((group, device) => group[(group.indexOf(device) + 1) % group.length]!);
}
