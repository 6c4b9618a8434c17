/**
 * The graph as text for people: one statement a node, tensors as `name%id`, output axes `i0, i1 …`, reduced
 * ones `r0, r1 …`, the streamed axis of a softmax sum `u`, steps of loops `step0 …`. Equal graphs print
 * equally.
 */

import { showList, showPending } from '../../dsl/placement/placement.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { showExtent } from './extent.ts';
import type {
  BlockNode,
  CollectiveNode,
  ComputeNode,
  ExchangeNode,
  Graph,
  LoopNode,
  Node,
  PlacementChange,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from './graph.ts';
import { results } from './graph.ts';
import { operands, subexpressions } from './scalar.ts';
import { allTensors } from './uses.ts';

export function printGraph(graph: Graph): string {
  const names = namesOf(allTensors(graph));
  const inputs = graph.inputs.map(({ path, tensor }) => `input ${path} = ${declared(tensor)}`);
  const outputs = graph.outputs.map(({ path, tensor }) => `output ${path} = ${names(tensor)}`);
  const nodes = graph.nodes.flatMap((node) => nodeLines(node, names));
  return `${[`graph ${graph.name}`, ...inputs, ...nodes, ...outputs].join('\n')}\n`;
}

/** `f32[4, 8]`, `i32` */
export function printType({ dtype, shape, ends }: Pick<Tensor, 'dtype' | 'shape' | 'ends'>): string {
  const dims = shape.map((extent, dim) => {
    const end = ends?.[dim];
    return end === undefined ? `${extent}` : `${showExtent(end)} <= ${extent}`;
  });
  return shape.length === 0 ? dtype : `${dtype}[${dims.join(', ')}]`;
}

type Names = (tensor: TensorId) => string;

function namesOf(tensors: ReadonlyMap<TensorId, Tensor>): Names {
  return (id) => `${tensors.get(id)?.name ?? ''}%${id}`;
}

/** A node on one line, its tensors by the names that they are given: results first, then in order of use. */
export function printNode(node: Node, names: Names): string {
  return `${results(node)
    .map(({ id }) => names(id))
    .join(', ')} = ${bodyLines(node, names).join('; ')}`;
}

function declared(tensor: Tensor): string {
  return `${tensor.name}%${tensor.id}: ${printType(tensor)}`;
}

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

type NodePrinters = {
  readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>, names: Names) => readonly string[];
};

/** What stands to the right of `=`, and the lines under it. */
const nodePrinters: NodePrinters = {
  compute: printCompute,
  softmaxSum: printSoftmaxSum,
  route: (node, names) => [`route ${names(node.pick)} to ${node.experts}`],
  order: (node, names) => [`order ${node.direction} ${names(node.source)}`],
  prefix: (node, names) => [`prefix ${node.combiner} ${names(node.source)}`],
  loop: printLoop,
  collective: printCollective,
  block: printBlock,
  exchange: printExchange,
};

function bodyLines<K extends Node['kind']>(
  node: Extract<Node, { kind: K }>,
  names: Names,
): readonly string[] {
  const printer: NodePrinters[K] = nodePrinters[node.kind];
  return printer(node, names);
}

function nodeLines(node: Node, names: Names): string[] {
  const [head, ...rest] = bodyLines(node, names);
  return [`${results(node).map(declared).join(', ')} = ${head}`, ...rest.map((line) => `  ${line}`)];
}

function printCompute(node: ComputeNode, names: Names): readonly string[] {
  const rank = node.result.shape.length;
  const axis = axisNames(rank, 'r');
  const text = (scalar: Scalar): string => printScalar(scalar, { tensor: names, axis });
  const grouped = node.grouped;
  const note =
    grouped === undefined
      ? []
      : [
          `grouped by ${names(grouped.pick)}[${grouped.axes.map(axis).join(', ')}] into ${grouped.experts}: ` +
            `order ${names(grouped.order)}, offsets ${names(grouped.offsets)}`,
        ];
  const head = binders('for', rank, axis);
  if (node.reduce === undefined) return [`${head}${text(node.body)}`, ...note];
  const { combiner, extents, finish } = node.reduce;
  const ranges = extents.map((extent, position) => `${axis(rank + position)} < ${extent}`);
  const reduction = `${[combiner, ranges.join(', ')].join(' ').trimEnd()}: ${text(node.body)}`;
  if (finish === undefined) return [`${head}${reduction}`, ...note];
  return [`${head}${text(finish)}`, `where total = ${reduction}`, ...note];
}

function printSoftmaxSum(node: SoftmaxSumNode, names: Names): readonly string[] {
  const rank = node.result.shape.length;
  const outer = axisNames(rank, 'r');
  const axis = (position: number): string =>
    position === rank ? 'u' : outer(position > rank ? position - 1 : position);
  const text = (scalar: Scalar): string => printScalar(scalar, { tensor: names, axis });
  const ranges = node.scoreExtents.map((extent, position) => `${axis(rank + 1 + position)} < ${extent}`);
  return [
    `${binders('for', rank, axis)}softmax sum u < ${node.extent}: ${text(node.value)}`,
    `where total = sum ${ranges.join(', ')}: ${text(node.scoreBody)}`,
    `logit ${text(node.logit)}`,
    ...(node.visible === undefined ? [] : [`visible ${text(node.visible)}`]),
    ...(node.valueAxes.length === 0 ? [] : [`value axes ${node.valueAxes.map(axis).join(', ')}`]),
    ...(node.partial === undefined ? [] : [`partial from ${node.partial.lowest}`]),
  ];
}

function printLoop(node: LoopNode, names: Names): readonly string[] {
  const states = node.body.inputs;
  return [
    `loop step${node.loop} < ${node.count} from (${node.initial.map(names).join(', ')})`,
    ...states.map(({ tensor }) => `state ${declared(tensor)}`),
    ...node.body.nodes.flatMap((inner) => nodeLines(inner, names)),
    ...node.body.outputs.map(
      ({ tensor }, position) => `${position < states.length ? 'next' : 'collect'} ${names(tensor)}`,
    ),
  ];
}

function printCollective(node: CollectiveNode, names: Names): readonly string[] {
  return [`${printChange(node.change)} of ${names(node.source)}`];
}

/** `all_gather @tp`, `reduce_scatter @tp to dim 1`, `reshard to [@dp, whole]{+tp}` */
export function printChange(change: PlacementChange): string {
  switch (change.kind) {
    case 'all_gather':
    case 'all_reduce':
    case 'broadcast':
      return `${change.kind} ${showList(change.axes)}`;
    case 'reduce_scatter':
      return `reduce_scatter ${showList(change.axes)} to dim ${change.dim}`;
    case 'all_to_all':
      return `all_to_all ${showList(change.axes)} from dim ${change.from} to dim ${change.to}`;
    case 'reshard': {
      const dims = change.to.dims.map((list) => showList(list) || 'whole');
      const at = change.first === 0 ? '' : ` from dim ${change.first}`;
      return `reshard to [${dims.join(', ')}]${showPending(change.to.pending)}${at}`;
    }
    case 'declare': {
      const dims = change.dims.map((list) => (list === undefined ? '_' : showList(list) || 'whole'));
      const at = change.first === 0 ? '' : ` from dim ${change.first}`;
      return `declared as [${dims.join(', ')}]${showPending(change.pending ?? new Map())}${at}`;
    }
  }
}

function printBlock({ cuts, direction, source }: BlockNode, names: Names): readonly string[] {
  const dims = cuts.map((list) => showList(list) || 'whole').join(', ');
  return [
    direction === 'enter'
      ? `block [${dims}] of ${names(source)}`
      : `whole of blocks [${dims}] ${names(source)}`,
  ];
}

function printExchange(node: ExchangeNode, names: Names): readonly string[] {
  const combines = node.verb === 'all_reduce' || node.verb === 'reduce_scatter';
  const how = combines ? ` by ${node.combiner}` : '';
  return [`exchange ${node.verb}${how} ${showList(node.axes)} of ${node.devices}: ${names(node.source)}`];
}

function axisNames(rank: number, inner: string): (axis: number) => string {
  return (axis) => (axis < rank ? `i${axis}` : `${inner}${axis - rank}`);
}

function binders(word: string, count: number, axis: (position: number) => string): string {
  const names = Array.from({ length: count }, (_, position) => axis(position));
  return count === 0 ? '' : `${word} ${names.join(', ')}: `;
}

// ── scalars ────────────────────────────────────────────────────────────────────────────────────────────────

export interface ScalarNames {
  readonly tensor: (tensor: TensorId) => string;
  readonly axis: (axis: number) => string;
}

const plainNames: ScalarNames = { tensor: (tensor) => `%${tensor}`, axis: (axis) => `i${axis}` };

interface Phrase {
  readonly text: string;
  /** Binding strength of its outermost operator. */
  readonly strength: number;
}

const tightest = 9;

const infix: { readonly [F in ScalarFunction]?: readonly [symbol: string, strength: number] } = {
  or: ['or', 1],
  and: ['and', 2],
  eq: ['==', 4],
  ne: ['!=', 4],
  lt: ['<', 4],
  le: ['<=', 4],
  add: ['+', 5],
  sub: ['-', 5],
  mul: ['*', 6],
  div: ['/', 6],
  floordiv: ['//', 6],
  mod: ['%', 6],
};

/** Longer texts that occur more than once are named rather than repeated. */
const shortText = 24;

/** The expression in infix notation, its repeated parts named in a `with` clause at the end. */
export function printScalar(root: Scalar, names: ScalarNames = plainNames): string {
  const order = subexpressions(root);
  const parents = new Map<Scalar, number>();
  for (const scalar of order)
    for (const operand of operands(scalar)) parents.set(operand, (parents.get(operand) ?? 0) + 1);

  const phrases = new Map<Scalar, Phrase>();
  const named: string[] = [];
  for (const scalar of order) {
    const inner = operands(scalar).map((operand) => phrases.get(operand)!);
    const phrase = phraseOf(scalar, inner, names);
    if ((parents.get(scalar) ?? 0) > 1 && phrase.text.length > shortText) {
      const name = `s${named.length}`;
      named.push(`${name} = ${phrase.text}`);
      phrases.set(scalar, { text: name, strength: tightest });
    } else phrases.set(scalar, phrase);
  }
  const { text } = phrases.get(root)!;
  return named.length === 0 ? text : `${text} with ${named.join(', ')}`;
}

function phraseOf(scalar: Scalar, inner: readonly Phrase[], names: ScalarNames): Phrase {
  const list = inner.map(({ text }) => text).join(', ');
  switch (scalar.op) {
    case 'constant':
      return { text: printConstant(scalar.dtype, scalar.value), strength: scalar.value < 0 ? 7 : tightest };
    case 'iterator':
      return { text: names.axis(scalar.axis), strength: tightest };
    case 'counter':
      return { text: `step${scalar.loop}`, strength: tightest };
    case 'coordinate':
      return { text: `@${scalar.axis}`, strength: tightest };
    case 'size':
      return { text: scalar.name, strength: tightest };
    case 'load': {
      const subscripts = inner.length === 0 ? '' : `[${list}]`;
      return { text: `${names.tensor(scalar.tensor)}${subscripts}`, strength: tightest };
    }
    case 'convert':
    case 'round':
      return { text: `${scalar.dtype}(${list})`, strength: tightest };
    case 'reduced':
      return { text: 'total', strength: tightest };
    case 'apply':
      return applyPhrase(scalar.function, inner);
  }
}

function applyPhrase(name: ScalarFunction, inner: readonly Phrase[]): Phrase {
  const [first, second, third] = inner;
  const operator = infix[name];
  if (operator !== undefined && first !== undefined && second !== undefined) {
    const [symbol, strength] = operator;
    // Left-associative, comparisons not at all: the right side, and both of a comparison, must bind tighter.
    const left = within(first, symbol.match(/[=<]/) ? strength + 1 : strength);
    return { text: `${left} ${symbol} ${within(second, strength + 1)}`, strength };
  }
  if (name === 'neg' && first !== undefined) return { text: `-${within(first, 8)}`, strength: 7 };
  if (name === 'not' && first !== undefined) return { text: `not ${within(first, 4)}`, strength: 3 };
  if (name === 'select' && first !== undefined && second !== undefined && third !== undefined)
    return {
      text: `if ${within(first, 1)} then ${within(second, 1)} else ${within(third, 0)}`,
      strength: 0,
    };
  return { text: `${name}(${inner.map(({ text }) => text).join(', ')})`, strength: tightest };
}

function within(phrase: Phrase, strength: number): string {
  return phrase.strength >= strength ? phrase.text : `(${phrase.text})`;
}

/** Floats show a point, an exponent or a name; u32 a `u`. */
function printConstant(dtype: string, value: number): string {
  if (dtype === 'bool') return value === 0 ? 'false' : 'true';
  if (dtype !== 'f32') return `${value}${dtype === 'u32' ? 'u' : ''}`;
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
