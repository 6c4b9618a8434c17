/**
 * Whether the devices of a mesh compute what the whole program does, over a finite field: exactly, however
 * sums are ordered, and with every exponential and quotient in it.
 *
 * A factor of a pending sum goes to each part. Parts may be 0, whose product with an infinity is NaN, as is
 * its quotient by 0: of a program that computes such a product as a whole a difference says nothing.
 */
import type { Storage, TensorValue } from '../../compiler/graph/algebra.ts';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { type FieldRelation, type FieldValue, finiteField } from '../../compiler/graph/finite-field.ts';
import { elementCount, isFloat } from '../../compiler/graph/tensor-type.ts';
import { evaluateOnMesh } from '../../compiler/partition/evaluate-mesh.ts';
import type { MeshSubject } from './subject.ts';
import { type Verdict, verdict } from './verdict.ts';

type InField = (value: TensorValue<number>) => TensorValue<FieldValue>;

export function partitionedOverField({ program, partitioned }: MeshSubject): Verdict {
  const { graph, inputs } = program;
  const field = finiteField();
  const inField: InField = ({ dtype, shape, data }) => {
    const numbers = data as Storage<number>;
    if (!isFloat({ dtype })) return { dtype, shape, data: numbers };
    return { dtype, shape, data: Array.from(numbers, field.constant) };
  };
  const values = [...inputs].map(([id, value]) => [id, inField(value)] as const);
  const wanted = evaluateGraph(graph, new Map(values), field);
  const isRegular = field.notes.singular === 0;
  const blocks = [...partitioned.blocks].map(([path, parts]) => [path, parts.map(inField)] as const);
  const { outputs } = evaluateOnMesh(partitioned.device, new Map(blocks), field);
  let worst: FieldRelation = 'equal';
  for (const [path, value] of wanted) {
    const found = outputs.get(path)!;
    for (let at = 0; at < elementCount(value); at++) {
      const relation = relationOf(value.data[at]!, found.data[at]!, field.relation);
      if (relation === 'different' && isRegular && field.notes.unsure === 0)
        return verdict(`${path}, element ${at}: ${shown(value.data[at])} became ${shown(found.data[at])}`);
      if (relation !== 'equal') worst = relation;
    }
  }
  return worst === 'equal' ? 'holds' : 'not told';
}

function relationOf(
  left: FieldValue | number,
  right: FieldValue | number,
  relation: (left: FieldValue, right: FieldValue) => FieldRelation,
): FieldRelation {
  if (typeof left === 'number' || typeof right === 'number') return left === right ? 'equal' : 'different';
  return relation(left, right);
}

function shown(value: FieldValue | number | undefined): string {
  return typeof value === 'object' ? `${value.number}` : `${value}`;
}
