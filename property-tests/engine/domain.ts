/** The cases of a property: which there are, and one of them drawn. */
import { type Choose, pick, shuffled } from '../../compiler/graph/choice-tape.ts';
import { elementCount } from '../../compiler/graph/tensor-type.ts';
import { solveEntrySizes } from '../../compiler/lower/entry.ts';
import { deviceCount, type Mesh, type MeshAxis } from '../../dsl/placement/placement.ts';
import type { PropertyInfo, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsIn } from '../../dsl/types/types.ts';
import { type Case, type CaseTensor, quantifiedTensors, type Wanted, wantedAt } from './case.ts';
import { drawTensor } from './profiles.ts';
import { areLegal, drawSizes, type SizeName, type Sizes, sizeNames } from './sizes.ts';

export interface Domain {
  readonly property: PropertyInfo;
  readonly names: readonly SizeName[];
  /** Undefined where there are no such tensors: indices into nothing. */
  readonly wantedAt: (sizes: Sizes) => readonly Wanted[] | undefined;
  readonly isLegal: (sizes: Sizes) => boolean;
  /** Undefined where no legal sizes were found. */
  readonly drawSizes: (choose: Choose) => Sizes | undefined;
  readonly drawMesh: (sizes: Sizes, choose: Choose) => Mesh | undefined;
  /** All of which `drawMesh` draws one: the named axes in every order; where none is named, the one drawn. */
  readonly meshesAt: (sizes: Sizes, choose: Choose) => readonly (Mesh | undefined)[];
  readonly drawValues: (sizes: Sizes, choose: Choose) => ReadonlyMap<string, CaseTensor>;
}

/** Elements of all tensors together, where it is not said how large they are. */
const mostElements = 2 ** 11;

/** @param program with the property as an entry */
export function domainOf(program: TypedProgram, property: PropertyInfo): Domain {
  const names = sizeNames(property, axesOf(property));
  const quantified = quantifiedTensors(property);
  const isFree = names.some(({ range }) => range === undefined);
  // What is compared bit by bit must not depend on the order of sums.
  const exact = property.checks.some(({ relation }) => relation === '==');

  const wanted = (sizes: Sizes): readonly Wanted[] | undefined => {
    const all = quantified.map((tensor) => wantedAt(tensor, sizes));
    return all.includes(undefined) ? undefined : (all as readonly Wanted[]);
  };
  const isLegal = (sizes: Sizes): boolean => {
    if (!areLegal(property, sizes)) return false;
    if (solveEntrySizes(program, property.name, new Map(), sizes).kind === 'rejected') return false;
    const tensors = wanted(sizes);
    if (tensors === undefined) return false;
    return !isFree || tensors.reduce((sum, tensor) => sum + elementCount(tensor), 0) <= mostElements;
  };
  const axesAt = (sizes: Sizes): readonly MeshAxis[] =>
    names.filter(({ isAxis }) => isAxis).map(({ name }) => ({ name, size: sizes.get(name)! }));
  const drawMesh: Domain['drawMesh'] = (sizes, choose) => {
    const axes = axesAt(sizes);
    // Their order says which devices are neighbours.
    if (axes.length > 0) return ofSeveral(shuffled(choose, axes));
    return choose(casesOnMesh) === 0 ? pick(choose, anyMeshes) : undefined;
  };
  return {
    property,
    names,
    wantedAt: wanted,
    isLegal,
    drawSizes: (choose) => drawSizes(property, names, choose, isLegal),
    drawMesh,
    meshesAt: (sizes, choose) => {
      const axes = axesAt(sizes);
      return axes.length > 0 ? orders(axes).map(ofSeveral) : [drawMesh(sizes, choose)];
    },
    drawValues: (sizes, choose) =>
      new Map(wanted(sizes)!.map((tensor) => [tensor.path, drawTensor(tensor, exact, choose)])),
  };
}

/** The axes on which it says that something lives; on those that it only calls upon there is one device. */
function axesOf({ function: { parameters } }: PropertyInfo): readonly string[] {
  const dims = parameters.flatMap(({ type }) => dimsIn(type));
  const axes = dims.flatMap(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  return [...new Set(axes)];
}

/** For programs that name no axis: drawn seldom, since the partitioner searches for each. */
const anyMeshes: readonly Mesh[] = [
  { axes: [{ name: 'a', size: 2 }] },
  { axes: [{ name: 'a', size: 3 }] },
  {
    axes: [
      { name: 'a', size: 2 },
      { name: 'b', size: 2 },
    ],
  },
];

/** Of so many cases one is on a mesh. */
const casesOnMesh = 5;

/** A mesh of one device is none. */
export function ofSeveral(axes: readonly MeshAxis[]): Mesh | undefined {
  return deviceCount({ axes }) > 1 ? { axes } : undefined;
}

/** Axes with one device are at the end: where they stand changes nothing. */
function orders(axes: readonly MeshAxis[]): readonly (readonly MeshAxis[])[] {
  const single = axes.filter(({ size }) => size === 1);
  const within = (left: readonly MeshAxis[]): readonly (readonly MeshAxis[])[] =>
    left.length === 0
      ? [[]]
      : left.flatMap((first) =>
          within(left.filter((axis) => axis !== first)).map((rest) => [first, ...rest]),
        );
  return within(axes.filter(({ size }) => size > 1)).map((order) => [...order, ...single]);
}

export function caseAt(domain: Domain, sizes: Sizes, choose: Choose): Case {
  return { sizes, mesh: domain.drawMesh(sizes, choose), values: domain.drawValues(sizes, choose) };
}
