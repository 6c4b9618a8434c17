import { describe, expect, test } from 'vitest';
import type { Scalar, Tensor } from '../../compiler/graph/graph.ts';
import {
  apply,
  boolean,
  constant,
  convert,
  float,
  integer,
  iterator,
  iterators,
  load,
  round,
} from '../../compiler/graph/scalar.ts';
import { type Dtype, dtypes } from '../../dsl/types/dtype.ts';
import { graphOf, mapNode, tensor } from './graph-building.ts';
import { compileGraph, expectAgreement, kernelsOf, runGraph, testDevice } from './testing.ts';

const shapes = [[], [1], [4], [7], [3, 5], [2, 8], [4, 3, 8], [1, 6, 1], [257], [13, 64], [0, 3]];

/** A map of one tensor of `shape`, its elements as they lie. */
async function pointwise(
  dtype: Dtype,
  resultDtype: Dtype,
  shape: readonly number[],
  body: (x: Scalar) => Scalar,
  values?: readonly number[],
  relative?: number,
): Promise<void> {
  const x = tensor(0, 'x', dtype, shape);
  const scalar = body(load(x, iterators(shape.length)));
  const graph = graphOf('pointwise', [x], [mapNode(tensor(1, 'out', resultDtype, shape), scalar)]);
  await expectAgreement(graph, {
    ...(values && { values: () => values }),
    ...(relative !== undefined && { relative }),
  });
}

describe('a map', () => {
  for (const shape of shapes)
    test(`of shape [${shape}]`, async () => {
      const [a, b] = [tensor(0, 'a', 'f32', shape), tensor(1, 'b', 'f32', shape)];
      const at = iterators(shape.length);
      const body = apply('add', apply('mul', load(a, at), load(b, at)), float(1.5));
      await expectAgreement(graphOf('map', [a, b], [mapNode(tensor(2, 'out', 'f32', shape), body)]));
    });

  test.each([
    [3, 4],
    [2, 6],
    [5, 7],
  ])('reads %i blocks of %i as one, without dividing', async (blocks, block) => {
    const a = tensor(0, 'a', 'f32', [blocks, block, 4]);
    const [i, j] = [iterator(0), iterator(1)];
    const split = (extent: number) => [
      apply('floordiv', i, integer(extent)),
      apply('mod', i, integer(extent)),
    ];
    const graphOfSplit = (extent: number, from: Tensor) =>
      graphOf(
        'whole',
        [from],
        [mapNode(tensor(1, 'out', 'f32', [blocks * block, 4]), load(from, [...split(extent), j]))],
      );
    await expectAgreement(graphOfSplit(block, a));
    const { profile } = await testDevice();
    const [kernel] = kernelsOf(compileGraph(graphOfSplit(block, a), profile).steps);
    expect(kernel!.code).not.toMatch(/[%&]/);
    // Blocks with gaps between them are not one.
    await expectAgreement(graphOfSplit(block, tensor(0, 'a', 'f32', [blocks, block + 1, 4])));
  });

  for (const shape of [
    [3, 5],
    [4, 8],
    [16, 12],
  ])
    test(`transposes and broadcasts [${shape}]`, async () => {
      const [rows, columns] = shape as [number, number];
      const a = tensor(0, 'a', 'f32', [columns, rows]);
      const b = tensor(1, 'b', 'f32', [columns]);
      const c = tensor(2, 'c', 'f32', [rows]);
      const [i, j] = [iterator(0), iterator(1)];
      const body = apply('add', apply('mul', load(a, [j, i]), load(b, [j])), load(c, [i]));
      await expectAgreement(graphOf('map', [a, b, c], [mapNode(tensor(3, 'out', 'f32', shape), body)]));
    });

  test('gathers rows through another tensor', async () => {
    const [table, ids] = [tensor(0, 'table', 'bf16', [10, 12]), tensor(1, 'ids', 'i32', [7])];
    const body = load(table, [load(ids, [iterator(0)]), iterator(1)]);
    await expectAgreement(graphOf('map', [table, ids], [mapNode(tensor(2, 'out', 'bf16', [7, 12]), body)]), {
      values: ({ name }) => (name === 'ids' ? [3, 0, 9, 9, 1, 5, 2] : undefined),
    });
  });

  test('splits and merges dimensions by integer arithmetic', async () => {
    const x = tensor(0, 'x', 'f32', [6, 10]);
    const [i, j] = [iterator(0), iterator(1)];
    const flat = apply('add', apply('mul', i, integer(20)), j);
    const body = load(x, [apply('floordiv', flat, integer(10)), apply('mod', flat, integer(10))]);
    await expectAgreement(graphOf('map', [x], [mapNode(tensor(1, 'out', 'f32', [3, 20]), body)]));
  });

  test('does not need what the other side of a select would read to exist', async () => {
    const x = tensor(0, 'x', 'f32', [9]);
    const before = apply('sub', iterator(0), integer(3));
    const body = apply('select', apply('lt', before, integer(0)), float(-1), load(x, [before]));
    await expectAgreement(graphOf('map', [x], [mapNode(tensor(1, 'out', 'f32', [12]), body)]));
  });

  test('uses its indices as numbers', async () => {
    const x = tensor(0, 'x', 'f32', [5, 12]);
    const [i, j] = [iterator(0), iterator(1)];
    const angle = apply('mul', convert('f32', i), convert('f32', j));
    const body = apply('mul', load(x, [i, j]), apply('cos', angle));
    await expectAgreement(graphOf('map', [x], [mapNode(tensor(1, 'out', 'f32', [5, 12]), body)]), {
      relative: 1e-4,
    });
  });
});

describe('storage', () => {
  for (const dtype of dtypes)
    for (const shape of [[8], [7], [3, 5], [2, 12]])
      test(`of ${dtype} [${shape}] is read and written`, () => pointwise(dtype, dtype, shape, (x) => x));

  for (const dtype of ['bf16', 'f16', 'f8e4m3', 'f8e5m2'] as const)
    test(`of ${dtype} rounds to nearest even, up to overflow and below the smallest`, async () => {
      const special = [
        0, 1, 1.03125, 1.01171875, 2.0078125, 65504, 65519, 65520, 3e38, 448, 464, 464.5, 480, 61440,
      ];
      const tiny = [
        6e-5,
        6e-8,
        3e-8,
        2 ** -9,
        2 ** -10,
        1.5 * 2 ** -9,
        2 ** -16,
        1.5 * 2 ** -16,
        2 ** -24,
        2 ** -14,
      ];
      const values = [...special, ...tiny, ...special.map((at) => -at), ...tiny.map((at) => -at)].map(
        Math.fround,
      );
      const shape = [values.length];
      const x = tensor(0, 'x', 'f32', shape);
      const graph = graphOf(
        'round',
        [x],
        [
          mapNode(tensor(1, 'stored', dtype, shape), round(dtype, load(x, [iterator(0)]))),
          mapNode(tensor(2, 'rounded', 'f32', shape), round(dtype, load(x, [iterator(0)]))),
        ],
      );
      await expectAgreement(graph, { values: () => values, relative: 0 });
      const outputs = await runGraph(graph, new Map([[0, values]]));
      expect(outputs.get('stored')).toEqual(outputs.get('rounded'));
    });
});

describe('pointwise functions', () => {
  const grid = Array.from({ length: 61 }, (_, at) => (at - 30) / 5);
  const unary = ['neg', 'abs', 'sign', 'exp', 'sin', 'cos', 'tanh', 'erf', 'floor', 'ceil', 'round'] as const;
  for (const name of unary)
    test(name, () => pointwise('f32', 'f32', [61], (x) => apply(name, x), grid.map(Math.fround), 3e-6));
  for (const name of ['log', 'sqrt', 'rsqrt'] as const)
    test(name, () =>
      pointwise(
        'f32',
        'f32',
        [64],
        (x) => apply(name, x),
        Array.from({ length: 64 }, (_, at) => (at + 1) / 8),
        3e-6,
      ),
    );

  test.each(['sin', 'cos'] as const)('%s of angles up to ten million', async (name) => {
    const values = Array.from({ length: 4096 }, (_, at) => Math.fround((at - 2048) * 4882.0371));
    const x = tensor(0, 'x', 'f32', [4096]);
    const graph = graphOf(
      name,
      [x],
      [mapNode(tensor(1, 'out', 'f32', [4096]), apply(name, load(x, [iterator(0)])))],
    );
    const found = (await runGraph(graph, new Map([[0, values]]))).get('out')!;
    const furthest = Math.max(...values.map((value, at) => Math.abs(found[at]! - Math[name](value))));
    expect(furthest).toBeLessThan(4.2e-7);
  });

  test('erf keeps its relative precision near zero', async () => {
    const values = [1e-6, 1e-3, 0.03, 0.3, 0.9, 0.999, 1.001, 1.5].map(Math.fround);
    const x = tensor(0, 'x', 'f32', [8]);
    const body = apply('div', apply('erf', load(x, [iterator(0)])), load(x, [iterator(0)]));
    await expectAgreement(graphOf('erf', [x], [mapNode(tensor(1, 'out', 'f32', [8]), body)]), {
      values: () => values,
      relative: 5e-7,
    });
  });

  test('tanh of large numbers is one', () =>
    pointwise('f32', 'f32', [4], (x) => apply('tanh', x), [100, -100, 3e38, -3e38], 1e-6));

  test('pow of negative bases and zero exponents', () =>
    pointwise('f32', 'f32', [6], (x) => apply('pow', x, float(3)), [-2, -1, 0, 1, 2, -0.5], 1e-5));

  test('floordiv and mod round down', async () => {
    const x = tensor(0, 'x', 'i32', [21]);
    const at = load(x, [iterator(0)]);
    for (const divisor of [1, 4, 7]) {
      const graph = graphOf(
        'divide',
        [x],
        [
          mapNode(tensor(1, 'quotient', 'i32', [21]), apply('floordiv', at, integer(divisor))),
          mapNode(tensor(2, 'remainder', 'i32', [21]), apply('mod', at, integer(divisor))),
        ],
      );
      await expectAgreement(graph, { values: () => Array.from({ length: 21 }, (_, i) => i - 10) });
    }
  });

  test('bools, comparisons and choices', async () => {
    const [a, b] = [tensor(0, 'a', 'i32', [16]), tensor(1, 'b', 'i32', [16])];
    const [x, y] = [load(a, [iterator(0)]), load(b, [iterator(0)])];
    const holds = apply(
      'or',
      apply('and', apply('lt', x, y), apply('ne', x, integer(3))),
      apply('not', apply('le', x, y)),
    );
    const graph = graphOf(
      'logic',
      [a, b],
      [
        mapNode(tensor(2, 'holds', 'bool', [16]), holds),
        mapNode(tensor(3, 'chosen', 'i32', [16]), apply('select', holds, x, y)),
        mapNode(tensor(4, 'never', 'bool', [16]), apply('and', holds, boolean(false))),
        mapNode(tensor(5, 'as_number', 'f32', [16]), convert('f32', holds)),
      ],
    );
    await expectAgreement(graph, {
      values: ({ name }) => Array.from({ length: 16 }, (_, i) => (name === 'a' ? i % 5 : i % 3)),
    });
  });

  test('floats become integers towards zero, saturating', async () => {
    const values = [1.9, -1.9, 3e9, -3e9, 5e9, 0.5, -0.5, 2147483520];
    for (const dtype of ['i32', 'u32'] as const)
      await pointwise('f32', dtype, [8], (x) => convert(dtype, x), values.map(Math.fround));
  });

  test('random bits', async () => {
    const words = ['threefry0', 'threefry1'] as const;
    const index = convert('u32', iterator(0));
    const nodes = words.map((name, at) =>
      mapNode(
        tensor(at, name, 'u32', [9]),
        apply(name, constant('u32', 0xdeadbeef), constant('u32', 7), index, constant('u32', 3)),
      ),
    );
    await expectAgreement(graphOf('bits', [], nodes));
  });

  test('infinities and NaN can be written', async () => {
    const x = tensor(0, 'x', 'f32', [4]);
    const limit = (value: number) => apply('mul', load(x, [iterator(0)]), float(value));
    const graph = graphOf(
      'infinite',
      [x],
      [mapNode(tensor(1, 'out', 'f32', [4]), limit(Number.POSITIVE_INFINITY))],
    );
    await expectAgreement(graph, { values: () => [1, -1, 2, -2] });
  });
});

describe('the text', () => {
  test('of a kernel is the same each time', async () => {
    const { profile } = await testDevice();
    const x = tensor(0, 'x', 'bf16', [6, 20]);
    const body = apply('tanh', load(x, iterators(2)));
    const graph = graphOf('text', [x], [mapNode(tensor(1, 'out', 'bf16', [6, 20]), body)]);
    const texts = () => kernelsOf(compileGraph(graph, profile).steps).map((kernel) => kernel.code);
    expect(texts()).toEqual(texts());
  });

  test('folds a grid beyond the limit of a dimension', async () => {
    const x = tensor(0, 'x', 'f32', [5003]);
    const graph = graphOf(
      'folded',
      [x],
      [mapNode(tensor(1, 'out', 'f32', [5003]), apply('add', load(x, [iterator(0)]), float(1)))],
    );
    await expectAgreement(graph, { profile: (profile) => ({ ...profile, maxWorkgroupsPerDimension: 7 }) });
  });
});
