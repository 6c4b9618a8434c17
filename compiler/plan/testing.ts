/** For tests: schedules with nested loops, and what they compute, on symbols instead of numbers. */
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { ExchangeNode, Graph, LoopNode, Tensor, TensorId } from '../graph/graph.ts';
import type { Schedule, ScheduledStep } from '../tiles/scheduled.ts';
import type { Kernel } from './kernel.ts';

export interface ScheduledProgram {
  readonly graph: Graph;
  readonly schedule: Schedule;
  readonly kernels: readonly Kernel[];
}

const tensorTypes: readonly { dtype: Dtype; shape: readonly number[] }[] = [
  { dtype: 'f32', shape: [2] },
  { dtype: 'f32', shape: [7] },
  { dtype: 'bf16', shape: [3] },
  { dtype: 'i8', shape: [] },
];

const meshSize = 2;
/** Of all devices of the mesh that the programs are for. */
export const testMesh: Mesh = { axes: [{ name: 'x', size: meshSize }] };
const exchangedVerbs = ['all_reduce', 'broadcast', 'shift', 'all_gather'] as const;

/** @param choose gives a number in [0, below). */
export function randomSchedule(choose: (below: number) => number): ScheduledProgram {
  const kernels: Kernel[] = [];
  const temporaries: Tensor[] = [];
  let tensorCount = 0;
  let loopCount = 0;
  const pick = <T>(from: readonly T[]): T => from[choose(from.length)]!;
  const create = ({ dtype, shape }: { dtype: Dtype; shape: readonly number[] }): Tensor => {
    const id = tensorCount++;
    return { id, name: `t${id}`, dtype, shape };
  };

  const kernel = (visible: Tensor[], loops: readonly number[], result: Tensor): ScheduledStep => {
    const sources = new Set(Array.from({ length: choose(3) }, () => pick(visible).id));
    const name = `kernel_${kernels.length}`;
    const bindings: Kernel['bindings'] = [
      ...[...sources].map((tensor) => ({ tensor, access: 'read' as const })),
      { tensor: result.id, access: 'write' },
    ];
    const counters = loops.filter(() => choose(2) === 0);
    kernels.push({ name, code: '', workgroupSize: [1, 1, 1], grid: [1, 1, 1], bindings, counters });
    temporaries.push(result);
    visible.push(result);
    return { kind: 'kernel', program: { name, buffers: bindings, counters } as never };
  };

  const exchange = (visible: Tensor[]): ScheduledStep => {
    const source = pick(visible);
    const verb = pick(exchangedVerbs);
    const { dtype, shape } = source;
    const result = create({ dtype, shape: verb === 'all_gather' ? [meshSize, ...shape] : shape });
    visible.push(result);
    const group = { axes: ['x'], devices: meshSize, combiner: 'sum' } as const;
    return { kind: 'exchange', node: { kind: 'exchange', verb, ...group, source: source.id, result } };
  };
  const loop = (visible: Tensor[], loops: readonly number[]): ScheduledStep => {
    const id = loopCount++;
    const initial = Array.from({ length: choose(4) }, () => pick(visible));
    const inside = initial.map((tensor) => create(tensor));
    const body = [...visible, ...inside];
    const steps = list(body, [...loops, id], 1 + choose(3));
    const next = initial.map((tensor) => {
      if (choose(4) === 0) steps.push(kernel(body, [...loops, id], create(tensor)));
      const alike = body.filter(
        (other) => other.dtype === tensor.dtype && `${other.shape}` === `${tensor.shape}`,
      );
      // Mostly what is newest: a value computed in this step.
      return choose(3) === 0 ? pick(alike) : alike.at(-1)!;
    });
    // Collected again and again, a tensor would grow without end.
    const small = body.filter((tensor) => tensor.shape.length < 2);
    const collected = Array.from({ length: choose(3) }, () => pick(small));
    // What an empty tensor holds is no one's concern.
    const count = choose(5) + (collected.length > 0 ? 1 : 0);
    const results = [
      ...initial.map((tensor) => create(tensor)),
      ...collected.map(({ dtype, shape }) => create({ dtype, shape: [count, ...shape] })),
    ];
    const node: LoopNode = {
      kind: 'loop',
      loop: id,
      count,
      initial: initial.map((tensor) => tensor.id),
      body: {
        name: `loop_${id}`,
        inputs: inside.map((tensor) => ({ path: tensor.name, tensor })),
        nodes: [],
        outputs: [...next, ...collected].map((tensor) => ({ path: tensor.name, tensor: tensor.id })),
      },
      results,
    };
    visible.push(...results);
    return { kind: 'loop', loop: node, steps };
  };

  const list = (visible: Tensor[], loops: readonly number[], length: number): ScheduledStep[] =>
    Array.from({ length }, () => {
      if (loops.length < 2 && choose(3) === 0) return loop(visible, loops);
      return choose(4) === 0 ? exchange(visible) : kernel(visible, loops, create(pick(tensorTypes)));
    });

  const inputs = [create(pick(tensorTypes)), create(pick(tensorTypes))];
  const visible = [...inputs];
  const steps = list(visible, [], 1 + choose(5));
  const outputs = [visible.at(-1)!, pick(visible)];
  return {
    graph: {
      name: 'random',
      inputs: inputs.map((tensor) => ({ path: tensor.name, tensor })),
      nodes: [],
      outputs: outputs.map((tensor, index) => ({ path: `out.${index}`, tensor: tensor.id })),
    },
    schedule: { steps, temporaries },
    kernels,
  };
}

/** The value of a tensor as the text of how it came about; collected ones are lists. */
export type Symbolic = string | readonly Symbolic[];

export function applySymbolic(
  kernel: string,
  operands: readonly (Symbolic | undefined)[],
  counters: readonly number[],
): Symbolic {
  return digest(`${kernel}(${JSON.stringify(operands)};${counters})`);
}

export function exchangedSymbol(verb: ExchangeNode['verb'], value: Symbolic | undefined): Symbolic {
  return applySymbolic(verb, [value], []);
}

/** Short, and different for different texts but for an accident of one in 2^53. */
function digest(text: string): string {
  let [first, second] = [0x9dc5, 0x811c];
  for (let index = 0; index < text.length; index++) {
    first = Math.imul(first ^ text.charCodeAt(index), 0x01000193);
    second = Math.imul(second ^ text.charCodeAt(index), 0x85ebca6b) ^ (second >>> 13);
  }
  return `${(first >>> 0).toString(36)}${(second >>> 0).toString(36)}`;
}

/** What the outputs are, straight from the meaning of a schedule: every tensor its own. */
export function symbolicOutputs({ graph, schedule, kernels }: ScheduledProgram): Symbolic[] {
  const values = new Map<TensorId, Symbolic>();
  const counters = new Map<number, number>();
  const byName = new Map(kernels.map((kernel) => [kernel.name, kernel]));
  const get = (tensor: TensorId) => values.get(tensor)!;
  const visit = (steps: readonly ScheduledStep[]): void => {
    for (const step of steps) {
      if (step.kind === 'kernel') {
        const kernel = byName.get(step.program.name)!;
        const reads = kernel.bindings.filter((binding) => binding.access === 'read');
        const steps = kernel.counters.map((loop) => counters.get(loop)!);
        const value = applySymbolic(
          kernel.name,
          reads.map((binding) => get(binding.tensor)),
          steps,
        );
        values.set(kernel.bindings.at(-1)!.tensor, value);
        continue;
      }
      if (step.kind === 'exchange') {
        const { verb, source, result } = step.node;
        values.set(result.id, exchangedSymbol(verb, get(source)));
        continue;
      }
      const { loop } = step;
      let state = loop.initial.map(get);
      const collected: Symbolic[][] = loop.results.slice(state.length).map(() => []);
      for (let at = 0; at < loop.count; at++) {
        counters.set(loop.loop, at);
        for (const [index, input] of loop.body.inputs.entries()) values.set(input.tensor.id, state[index]!);
        visit(step.steps);
        const after = loop.body.outputs.map((output) => get(output.tensor));
        state = after.slice(0, state.length);
        for (const [index, list] of collected.entries()) list.push(after[state.length + index]!);
      }
      for (const [index, result] of loop.results.entries())
        values.set(result.id, [...state, ...collected][index]!);
    }
  };
  for (const [index, input] of graph.inputs.entries()) values.set(input.tensor.id, `input${index}`);
  visit(schedule.steps);
  return graph.outputs.map((output) => get(output.tensor));
}
