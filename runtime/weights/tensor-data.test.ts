import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { type Dtype, dtypeFacts, dtypes } from '../../dsl/types/dtype.ts';
import { tensorFromValues, tensorValues } from './tensor-data.ts';

const stored = (dtype: Dtype, values: number[]) => [
  ...tensorValues(tensorFromValues(dtype, [values.length], values)),
];
const floats = dtypes.filter((dtype) => dtypeFacts[dtype].class === 'float');

describe('elements', () => {
  test.each(floats)('of %s are rounded once, as the evaluator rounds', (dtype) => {
    const near = fc.tuple(fc.double({ noNaN: true, min: -2, max: 2 }), fc.integer({ min: -30, max: 40 }));
    const values = fc.oneof(
      fc.double(),
      near.map(([fraction, exponent]) => fraction * 2 ** exponent),
      // Halfway between two neighbours of the narrow types, and just beside.
      fc
        .tuple(
          fc.integer({ min: -5000, max: 5000 }),
          fc.integer({ min: -30, max: 8 }),
          fc.constantFrom(-1, 0, 1),
        )
        .map(([units, exponent, beside]) => (units / 2) * 2 ** exponent * (1 + beside * 2 ** -40)),
    );
    fc.assert(
      fc.property(values, (value) => {
        expect(stored(dtype, [value])).toEqual([roundTo(dtype, value)]);
      }),
      { numRuns: 2000 },
    );
  });

  test('of narrow floats are the codes of the standards', () => {
    const codes = (dtype: Dtype, values: number[]) => [
      ...tensorFromValues(dtype, [values.length], values).bytes,
    ];
    expect(codes('f8e4m3', [448, 464, 465, -0, 2 ** -9, Number.NaN])).toEqual([
      0x7e, 0x7e, 0x7f, 0x80, 1, 0x7f,
    ]);
    expect(codes('f8e5m2', [57344, 65536, -Number.POSITIVE_INFINITY, 2 ** -16])).toEqual([
      0x7b, 0x7c, 0xfc, 1,
    ]);
    expect(codes('bf16', [1, -2])).toEqual([0x80, 0x3f, 0x00, 0xc0]);
    expect(codes('f16', [65504, 65520, 2 ** -24])).toEqual([0xff, 0x7b, 0x00, 0x7c, 0x01, 0x00]);
  });

  test.each(floats.filter((dtype) => dtype !== 'f32'))(
    'of %s: every code is read and written back',
    (dtype) => {
      const { bits } = dtypeFacts[dtype];
      const bytes = new Uint8Array((2 ** bits * bits) / 8);
      const view = new DataView(bytes.buffer);
      for (let code = 0; code < 2 ** bits; code++)
        if (bits === 8) view.setUint8(code, code);
        else view.setUint16(2 * code, code, true);
      const values = tensorValues({ dtype, shape: [2 ** bits], bytes });
      const again = tensorValues(tensorFromValues(dtype, [2 ** bits], values));
      expect(again).toEqual(values);
      const finite = [...values].filter(Number.isFinite);
      // No two finite codes mean the same but the zeros.
      expect(new Set(finite).size).toBe(finite.length - 1);
    },
  );

  test('of integers saturate, and of bools are 0 or 1', () => {
    expect(stored('i8', [200, -200, 1.9, -1.9, Number.NaN])).toEqual([127, -128, 1, -1, 0]);
    expect(stored('u32', [-1, 2 ** 40])).toEqual([0, 2 ** 32 - 1]);
    expect(stored('bool', [0, 0.5, -3])).toEqual([0, 1, 1]);
  });
});
