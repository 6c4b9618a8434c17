/**
 * Graphs of one program at several sizes, walked side by side: they are the same but for numbers that depend
 * on the sizes.
 */
import type { Arithmetic, Graph, GraphInput, Node, Scalar, Tensor } from '../graph/graph.ts';
import { operands, subexpressions, withOperands } from '../graph/scalar.ts';
import { allTensors } from '../graph/uses.ts';

/** What becomes of a number that the graphs have in one place. */
export interface Numbers {
  /** Of a dimension, of a reduced axis, of the steps of a loop. */
  readonly extent: (values: readonly number[]) => number;
  /** Of a constant in an expression; undefined keeps the first graph's. */
  readonly constant: (dtype: Arithmetic, values: readonly number[]) => Scalar | undefined;
}

/** Why graphs are not the same: what differs, in the program's words. */
export class Unlike extends Error {}

/** The first graph with other numbers. @throws Unlike */
export function zipGraphs(graphs: readonly Graph[], numbers: Numbers): Graph {
  const tensors = new Map([...allTensors(graphs[0]!)].map(([id, { name }]) => [id, name]));
  const zipTensor = (all: readonly Tensor[]): Tensor => {
    const [first] = all as [Tensor];
    same(`the type of ${first.name}`, all, ({ id, dtype, shape }) => [id, dtype, shape.length]);
    const shape = first.shape.map((_, dim) => numbers.extent(all.map((each) => each.shape[dim]!)));
    return { ...first, shape };
  };

  const zipScalar = (what: string, all: readonly Scalar[]): Scalar => {
    const parts = all.map((root) => subexpressions(root));
    const first = parts[0]!;
    same(`what computes ${what}`, parts, (each) => each.length);
    const positions = parts.map((each) => new Map(each.map((part, position) => [part, position])));
    const done: Scalar[] = [];
    for (const [at, part] of first.entries()) {
      const own = parts.map((each) => each[at]!);
      same(`what computes ${what}`, own, leafOf);
      const inner = own.map((each, graph) =>
        operands(each).map((operand) => positions[graph]!.get(operand)!),
      );
      same(`what computes ${what}`, inner, (each) => each);
      const found = part.op === 'constant' ? constantOf(part, own) : part;
      done.push(
        found === part
          ? withOperands(
              part,
              inner[0]!.map((position) => done[position]!),
            )
          : found,
      );
    }
    return done.at(-1)!;
  };

  const constantOf = (part: Scalar & { readonly op: 'constant' }, own: readonly Scalar[]): Scalar => {
    const values = own.map((each) => (each as typeof part).value);
    return values.every((value) => Object.is(value, part.value))
      ? part
      : (numbers.constant(part.dtype, values) ?? part);
  };

  const zipInputs = (all: readonly (readonly GraphInput[])[]): readonly GraphInput[] => {
    same('the inputs', all, (each) => each.map(({ path }) => path));
    return all[0]!.map(({ path }, at) => ({ path, tensor: zipTensor(all.map((each) => each[at]!.tensor)) }));
  };

  const zipNode = (all: readonly Node[]): Node => {
    const [first] = all as [Node];
    same('the steps', all, ({ kind }) => kind);
    switch (first.kind) {
      case 'compute': {
        const own = all as readonly (typeof first)[];
        const result = zipTensor(own.map((each) => each.result));
        const { name } = result;
        const body = zipScalar(
          name,
          own.map((each) => each.body),
        );
        same(`what computes ${name}`, own, ({ reduce }) => [
          reduce?.combiner,
          reduce?.extents.length,
          reduce?.finish === undefined,
        ]);
        const reduce = first.reduce && {
          ...first.reduce,
          extents: first.reduce.extents.map((_, axis) =>
            numbers.extent(own.map((each) => each.reduce!.extents[axis]!)),
          ),
          finish:
            first.reduce.finish &&
            zipScalar(
              name,
              own.map((each) => each.reduce!.finish!),
            ),
        };
        return { ...first, result, body, reduce };
      }
      case 'order':
      case 'prefix':
      case 'collective': {
        const own = all as readonly (typeof first)[];
        same(`what computes ${first.result.name}`, own, ({ result: _, ...rest }) => rest);
        return { ...first, result: zipTensor(own.map((each) => each.result)) };
      }
      case 'loop': {
        const own = all as readonly (typeof first)[];
        same('the loops', own, ({ loop, initial, results }) => [loop, initial, results.length]);
        return {
          ...first,
          count: numbers.extent(own.map((each) => each.count)),
          body: zip(own.map((each) => each.body)),
          results: first.results.map((_, at) => zipTensor(own.map((each) => each.results[at]!))),
        };
      }
      case 'softmaxSum':
      case 'route':
      case 'block':
      case 'exchange':
        throw new Unlike(`${first.kind} is made by passes, and of no bounded size`);
    }
  };

  const zip = (all: readonly Graph[]): Graph => {
    const [first] = all as [Graph];
    same('the number of steps', all, ({ nodes }) => nodes.length);
    same('the results', all, ({ outputs }) => outputs);
    const inputs = zipInputs(all.map((each) => each.inputs));
    const nodes = first.nodes.map((_, at) => zipNode(all.map((each) => each.nodes[at]!)));
    return { ...first, inputs, nodes };
  };

  function leafOf(part: Scalar): unknown {
    switch (part.op) {
      case 'constant':
      case 'convert':
      case 'round':
      case 'reduced':
        return [part.op, part.dtype];
      case 'apply':
        return [part.function, part.dtype];
      case 'load':
        return [tensors.get(part.tensor), part.tensor, part.subscripts.length];
      case 'iterator':
      case 'counter':
      case 'coordinate':
      case 'size':
        return part;
    }
  }

  return zip(graphs);
}

/** @throws Unlike unless `of` gives the same for all */
function same<T>(what: string, all: readonly T[], of: (each: T) => unknown): void {
  const [first, ...rest] = all.map((each) => JSON.stringify(of(each)));
  if (rest.some((each) => each !== first)) throw new Unlike(`${what} depends on the size in its form`);
}
