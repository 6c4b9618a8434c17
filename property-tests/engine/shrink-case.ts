/**
 * Simpler cases, of a case on which a property fails: first of fewer devices, then of smaller sizes, then
 * with simpler values. Each is legal; what is tried first is most simple.
 */
import { elementCount, stridesOf } from '../../compiler/graph/tensor-type.ts';
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import { type Case, type CaseTensor, givenTensor, type Wanted } from './case.ts';
import { type Domain, ofSeveral } from './domain.ts';
import { choicesOf, type Sizes } from './sizes.ts';
import { withTraits } from './traits.ts';

export function* simplerCases(from: Case, domain: Domain): Generator<Case> {
  yield* onFewerDevices(from, domain);
  yield* ofSmallerSizes(from, domain);
  yield* withSimplerValues(from, domain);
}

// ── mesh and sizes ─────────────────────────────────────────────────────────────────────────────────────────

function* onFewerDevices(from: Case, domain: Domain): Generator<Case> {
  const { mesh } = from;
  if (mesh === undefined) return;
  const names = mesh.axes.map(({ name }) => name);
  yield* withDevices(from, new Map(names.map((name) => [name, 1])), domain);
  for (const { name, size } of mesh.axes)
    for (let fewer = 1; fewer < size; fewer++) yield* withDevices(from, new Map([[name, fewer]]), domain);
}

function* withDevices(from: Case, devices: ReadonlyMap<string, number>, domain: Domain): Generator<Case> {
  const axes = from.mesh!.axes.map(({ name, size }) => ({ name, size: devices.get(name) ?? size }));
  const named = [...devices].filter(([name]) => from.sizes.has(name));
  const sizes = new Map([...from.sizes, ...named]);
  yield* atSizes({ ...from, mesh: ofSeveral(axes) }, sizes, domain);
}

function* ofSmallerSizes(from: Case, domain: Domain): Generator<Case> {
  const names = domain.names.filter(({ isAxis }) => !isAxis);
  const smaller = names.map((name) => {
    const now = from.sizes.get(name.name)!;
    const others = choicesOf(name, from.sizes).filter((size) => size < now);
    return [name.name, others.toSorted((left, right) => left - right)] as const;
  });
  // All at their least, then each by itself.
  const least = smaller.flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first] as const]));
  if (least.length > 1) yield* atSizes(from, new Map([...from.sizes, ...least]), domain);
  for (const [name, sizes] of smaller)
    for (const size of sizes) yield* atSizes(from, new Map([...from.sizes, [name, size]]), domain);
}

function* atSizes(from: Case, sizes: Sizes, domain: Domain): Generator<Case> {
  if (!domain.isLegal(sizes)) return;
  const wanted = domain.wantedAt(sizes);
  if (wanted === undefined) return;
  for (const end of ['first', 'last'] as const)
    yield {
      ...from,
      sizes,
      values: new Map(wanted.map((each) => [each.path, cutTo(each, from.values.get(each.path)!, end)])),
    };
}

/** The block of what there was at one end of each dimension; 0 where there was nothing. */
function cutTo(wanted: Wanted, tensor: CaseTensor, end: 'first' | 'last'): CaseTensor {
  const { dtype, shape, content, given } = wanted;
  if (given !== undefined) return givenTensor(wanted, given);
  const strides = stridesOf(tensor.shape);
  const data = new Float64Array(elementCount({ shape }));
  const skipped = shape.map((extent, dim) =>
    end === 'first' ? 0 : Math.max(0, tensor.shape[dim]! - extent),
  );
  const position = shape.map(() => 0);
  for (let place = 0; place < data.length; place++) {
    const isInside = position.every((at, dim) => at < tensor.shape[dim]!);
    const offset = strides.reduce((sum, stride, dim) => sum + stride * (skipped[dim]! + position[dim]!), 0);
    const value = isInside ? (tensor.data[offset] as number) : 0;
    data[place] = content.kind === 'index' ? value % content.range : value;
    for (let dim = shape.length - 1; dim >= 0; dim--) {
      position[dim] = (position[dim]! + 1) % shape[dim]!;
      if (position[dim] !== 0) break;
    }
  }
  return withTraits({ dtype, shape, data, profile: tensor.profile }, wanted);
}

// ── values ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Beyond so many entries that are not simple, single ones are not looked at. */
const mostSingle = 64;

function* withSimplerValues(from: Case, domain: Domain): Generator<Case> {
  const wanted = domain.wantedAt(from.sizes)!.filter(({ given }) => given === undefined);
  for (const each of wanted) {
    const tensor = from.values.get(each.path)!;
    for (const data of simplerData(tensor, each)) {
      const simpler = withTraits({ ...tensor, data, profile: undefined }, each);
      if (!sameData(simpler, tensor))
        yield { ...from, values: new Map([...from.values, [each.path, simpler]]) };
    }
  }
}

function sameData({ data: left }: CaseTensor, { data: right }: CaseTensor): boolean {
  return Array.from(left).every((value, place) => Object.is(value, right[place]));
}

function* simplerData({ data }: CaseTensor, { dtype }: Wanted): Generator<Float64Array> {
  const values = Float64Array.from(data as ArrayLike<number>);
  const places = [...values.keys()].filter((place) => values[place] !== 0);
  if (places.length === 0) return;
  yield new Float64Array(values.length);
  // Parts of it, halved each time: what is not needed is gone soon.
  for (let part = Math.ceil(places.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    if (places.length / part > mostSingle) break;
    for (let start = 0; start < places.length; start += part)
      yield withoutPlaces(values, places.slice(start, start + part));
  }
  const simpler = [Math.abs, Math.sign, dtypeFacts[dtype].class === 'float' ? Math.round : halved];
  for (const simple of simpler) yield values.map(simple);
  if (places.length > mostSingle) return;
  for (const place of places) for (const simple of simpler) yield values.with(place, simple(values[place]!));
}

function halved(value: number): number {
  return Math.trunc(value / 2);
}

function withoutPlaces(values: Float64Array, places: readonly number[]): Float64Array {
  const found = values.slice();
  for (const place of places) found[place] = 0;
  return found;
}
