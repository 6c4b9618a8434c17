/** Faults of what makes programs of bounded sizes, and of what runs them. */
import { inFile, type Mutant } from './mutant.ts';

const programs = 'property-tests/programs';
const cases = 'bench/cases.ricci';

const onDepth = `${cases}: matmul K<=24 at 13,3 M=9,N=5`;
const onRows = `${cases}: matmul M<=24 at 13,24 K=7,N=5`;
const onColumns = `${cases}: matmul N<=24 at 13,24 K=7,M=5`;
const onExperts = `${cases}: experts T<=48 at 13 D=16,F=20,E=3`;
const onOrder = `${programs}/order.ricci: sorted M<=20 at 20,7 N=3`;
const onLookup = `${programs}/indexing.ricci: look_up S<=20 at 7 V=5,D=3`;

export const boundedMutants: { readonly [file: string]: readonly Mutant[] } = {
  'with-ends.ts': inFile(
    'compiler/bounded/with-ends.ts',
    'bounded',
    [
      'sums what is behind the end',
      'if (axes.length === 0) return body;',
      'if (axes.length > -1) return body;',
      onDepth,
    ],
    [
      'reads where indices from behind the end say',
      'if (unsafe.length === 0) return read;',
      'if (unsafe.length > -1) return read;',
      onLookup,
    ],
    [
      'sees keys behind the end',
      'return visible === undefined ? isReal :',
      'return visible === undefined ? visible! :',
      `${programs}/softmax.ricci: full U<=20 at 7 S=3,G=2,R=2,A=4`,
    ],
    [
      'takes hidden keys for those that a causal mask hides',
      "if (part.op !== 'apply' || (part.function !== 'le' && part.function !== 'lt')) return false;",
      'return true;',
      `${programs}/softmax.ricci: cached U<=20 at 20,7 S=3,H=2,A=4`,
    ],
    [
      'sorts what is behind the end in',
      'const body = chosen(isReal, load(source',
      'const body = chosen(undefined, load(source',
      onOrder,
    ],
    [
      'leaves picks of experts out',
      'end: scaledExtent(end, inner) }',
      'end: scaledExtent(end, inner - 1) }',
      onExperts,
    ],
  ),
  'bounded-numbers.ts': inFile(
    'compiler/bounded/bounded-numbers.ts',
    'bounded',
    [
      'takes constants as they are at the bound',
      'constant: (dtype, values) => constantOf(dtype, fitted(values)),',
      'constant: () => undefined,',
      `${programs}/pointwise.ricci: sizes_as_values M<=20 at 7 N=3`,
    ],
    [
      'forgets what does not grow',
      'const extent: Extent = { constant: rest, terms };',
      'const extent: Extent = { constant: 0, terms };',
      onRows,
    ],
  ),
  'ends.ts': inFile(
    'compiler/tiles/ends.ts',
    'bounded',
    ['leaves the last workgroup out', 'Math.ceil(Math.max(0,', 'Math.floor(Math.max(0,', onRows, onColumns],
    ['ends loops one step early', 'constant(end.constant),', 'constant(end.constant - 4),', onDepth],
    [
      'takes an end for that of a row',
      'rest.reduce((size, axis) => size * extents[axis]!, 1),',
      '1,',
      `${programs}/softmax.ricci: causal S<=20 at 13 G=2,R=2,A=4,B=4`,
    ],
  ),
  'boxes.ts': inFile('runtime/weights/boxes.ts', 'bounded', [
    'lays rows out as they come',
    '(toAt + at) * toShape[dim + 1]!',
    '(toAt + at) * fromShape[dim + 1]!',
    onDepth,
  ]),
  'run-sizes.ts': inFile('runtime/run-sizes.ts', 'bounded', [
    'gives results as large as there is room',
    'return end === null ? extent : extentAt(end, sizes);',
    'return end === null || extent > 16 ? extent : extentAt(end, sizes);',
    onRows,
  ]),
};
