/**
 * What a change of placement costs. P devices in a ring pass on chunks (Thakur, Rabenseifner and Gropp,
 * "Optimization of collective communication operations in MPICH", 2005); in an all-to-all every two exchange
 * theirs directly. In all of these a device receives as much as it sends.
 */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import { movedAxes } from './blocks.ts';
import type { ChangeKind, PlacementChange } from './change.ts';
import { localShape } from './change.ts';

/** A tensor that its placement divides. */
export interface PlacedTensor {
  /** Of the whole tensor. */
  readonly shape: readonly number[];
  readonly placement: Placement;
  /** 2 for bf16 */
  readonly elementBytes: number;
}

export interface Traffic {
  /** The axes, of more than one device, along which messages go. */
  readonly axes: AxisList;
  /** Sent, and received, by the busiest device. */
  readonly bytes: number;
  /** Messages that a device sends one after another. */
  readonly rounds: number;
}

/** What a device with a block of `elements` sends when the devices of a group are `devices`. */
interface Formula {
  readonly elements: (elements: number, devices: number) => number;
  readonly rounds: (devices: number) => number;
  /** The number of blocks sent, as text; undefined is none, '' is one. */
  readonly blocks: (devices: string) => string | undefined;
}

const nothing: Formula = { elements: () => 0, rounds: () => 0, blocks: () => undefined };

/** All but one of the chunks that a block is cut in: the smallest, where they differ by an element. */
const allChunksButOne = (elements: number, devices: number): number =>
  elements - Math.floor(elements / devices);

const formulas: { readonly [K in ChangeKind]: Formula } = {
  all_gather: {
    elements: (elements, devices) => (devices - 1) * elements,
    rounds: (devices) => devices - 1,
    blocks: (devices) => `(${devices}−1)`,
  },
  reduce_scatter: {
    elements: allChunksButOne,
    rounds: (devices) => devices - 1,
    blocks: (devices) => `(${devices}−1)/${divisor(devices)}`,
  },
  // A reduce-scatter and an all-gather of the chunks.
  all_reduce: {
    elements: (elements, devices) => 2 * allChunksButOne(elements, devices),
    rounds: (devices) => 2 * (devices - 1),
    blocks: (devices) => `2(${devices}−1)/${divisor(devices)}`,
  },
  all_to_all: {
    elements: allChunksButOne,
    rounds: (devices) => devices - 1,
    blocks: (devices) => `(${devices}−1)/${divisor(devices)}`,
  },
  // A pipeline: all devices but the last pass on what they get.
  broadcast: {
    elements: (elements, devices) => (devices > 1 ? elements : 0),
    rounds: (devices) => devices - 1,
    blocks: () => '',
  },
  permute: {
    elements: (elements, devices) => (devices > 1 ? elements : 0),
    rounds: (devices) => (devices > 1 ? 1 : 0),
    blocks: () => '',
  },
  slice: nothing,
  mask: nothing,
};

/** The traffic of a change that `applyChange` allows on the tensor. */
export function trafficOf(change: PlacementChange, tensor: PlacedTensor, mesh: Mesh): Traffic {
  return trafficAlong(
    routeOf(change, tensor.placement, mesh),
    localElements(tensor, mesh),
    tensor.elementBytes,
  );
}

/** What of the traffic of a change is the same for all tensors. */
export interface Route {
  readonly kind: ChangeKind;
  /** The axes, of more than one device, along which messages go. */
  readonly axes: AxisList;
  /** Along the axes together. */
  readonly devices: number;
}

export function routeOf(change: PlacementChange, placement: Placement, mesh: Mesh): Route {
  const axes = crossedAxes(change, placement, mesh);
  return { kind: change.kind, axes, devices: devicesAlong(mesh, axes) };
}

/** @param blockElements that each device holds before the change */
export function trafficAlong(route: Route, blockElements: number, elementBytes: number): Traffic {
  const { elements, rounds } = formulas[route.kind];
  return {
    axes: route.axes,
    bytes: elements(blockElements, route.devices) * elementBytes,
    rounds: rounds(route.devices),
  };
}

function crossedAxes(change: PlacementChange, placement: Placement, mesh: Mesh): AxisList {
  if (formulas[change.kind] === nothing) return [];
  if (change.kind === 'permute') return movedAxes(placement, change.to, mesh);
  return change.axes.filter((axis) => devicesAlong(mesh, [axis]) > 1);
}

export function localElements({ shape, placement }: Omit<PlacedTensor, 'elementBytes'>, mesh: Mesh): number {
  return localShape(shape, placement, mesh).reduce((count, size) => count * size, 1);
}

export function localBytes(tensor: PlacedTensor, mesh: Mesh): number {
  return localElements(tensor, mesh) * tensor.elementBytes;
}

// ── time ───────────────────────────────────────────────────────────────────────────────────────────────────

/** What connects the neighbours along a mesh axis. */
export interface LinkModel {
  /** In each direction, of one device. */
  readonly bytesPerSecond: number;
  /** From sending a message of no bytes to having received it. */
  readonly latencySeconds: number;
}

/** By the names of mesh axes. */
export type Links = ReadonlyMap<string, LinkModel>;

/** Of axes that nothing is said of: none is slower than another, so that fewer bytes are better. */
export const unknownLink: LinkModel = { bytesPerSecond: 1e11, latencySeconds: 0 };

export function linkOf(axis: string, links: Links | undefined): LinkModel {
  return links?.get(axis) ?? unknownLink;
}

/** A list of axes is as slow as its slowest link. */
export function secondsOf({ axes, bytes, rounds }: Traffic, links: Links): number {
  if (axes.length === 0) return 0;
  const used = axes.map((axis) => linkOf(axis, links));
  const bytesPerSecond = Math.min(...used.map((link) => link.bytesPerSecond));
  const latency = Math.max(...used.map((link) => link.latencySeconds));
  return rounds * latency + bytes / bytesPerSecond;
}

// ── text ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * `2(tp−1)/tp · 2·T·D bytes`: what a device sends.
 *
 * @param localDims the sizes of the block that a device holds before the change, as text: `T/dp`
 * @param elementBytes 2 for bf16
 */
export function showTraffic(
  change: PlacementChange,
  localDims: readonly string[],
  elementBytes: number,
): string {
  const axes = change.kind === 'permute' ? [] : change.axes;
  const blocks = formulas[change.kind].blocks(axes.join('·'));
  if (blocks === undefined || (change.kind !== 'permute' && axes.length === 0)) return 'no bytes';
  const block = [elementBytes, ...localDims.map((dim) => factor(dim.replaceAll(' * ', '·')))].join('·');
  return `${blocks === '' ? '' : `${blocks} · `}${block} bytes`;
}

/** As a factor of a product: a sum in parentheses. */
function factor(size: string): string {
  return /[-+]/.test(size) ? `(${size})` : size;
}

/** Under a fraction bar: a product in parentheses. */
function divisor(size: string): string {
  return size.includes('·') ? `(${size})` : size;
}
