/** Every case of a property, where there are few. */
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { type Case, type CaseTensor, givenTensor, type Wanted } from './case.ts';
import { caseAt, type Domain } from './domain.ts';
import { seededChoices } from './random-case.ts';
import { allSizes } from './sizes.ts';
import { hasTraits } from './traits.ts';

export interface Exhausted {
  readonly cases: readonly Case[];
  /** Whether that is all there is; otherwise all sizes, with values drawn. */
  readonly isAll: boolean;
}

/** Undefined where there are more sizes than `most`, or they have no bound. */
export function exhaust(domain: Domain, most: number, seed: number): Exhausted | undefined {
  const sizes = allSizes(domain.property, domain.names, most)?.filter(domain.isLegal);
  if (sizes === undefined) return undefined;
  const choose = seededChoices(seed);
  let left = most;
  const all: Case[] = [];
  for (const own of sizes) {
    const values = allValues(domain.wantedAt(own)!, left);
    if (values === undefined)
      return { cases: sizes.map((each) => caseAt(domain, each, choose)), isAll: false };
    // Where nothing else is left open, the orders of the axes are what there is.
    const isOne = sizes.length === 1 && values.length === 1;
    const meshes = isOne ? domain.meshesAt(own, choose) : [domain.drawMesh(own, choose)];
    left -= values.length;
    all.push(...values.flatMap((each) => meshes.map((mesh): Case => ({ sizes: own, mesh, values: each }))));
  }
  return { cases: all, isAll: true };
}

type Values = ReadonlyMap<string, CaseTensor>;

/** Undefined where there are more than `most`. */
function allValues(wanted: readonly Wanted[], most: number): readonly Values[] | undefined {
  let found: readonly Values[] = [new Map()];
  for (const tensor of wanted) {
    const own = allTensors(tensor, most / found.length);
    if (own === undefined) return undefined;
    found = found.flatMap((before) => own.map((each): Values => new Map([...before, [tensor.path, each]])));
  }
  return found;
}

/** Undefined where there are more than `most`. */
function allTensors(wanted: Wanted, most: number): readonly CaseTensor[] | undefined {
  const { dtype, shape, content, given } = wanted;
  if (given !== undefined) return [givenTensor(wanted, given)];
  const base = content.kind === 'bool' ? 2 : content.kind === 'index' ? content.range : undefined;
  const elements = elementCount({ shape });
  const count = elements === 0 ? 1 : base === undefined ? Number.POSITIVE_INFINITY : base ** elements;
  if (count > most) return undefined;
  return Array.from({ length: count }, (_, number): CaseTensor => {
    const data = Float64Array.from(
      { length: elements },
      (_unused, place) => Math.floor(number / base! ** place) % base!,
    );
    return { dtype, shape, data, profile: 'all' };
  }).filter((tensor) => hasTraits(tensor, wanted));
}
