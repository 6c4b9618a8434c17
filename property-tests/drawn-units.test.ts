/** Products and attention for matrix units as they may be written, in the emulator: others with each seed. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Choose, choicesOf } from '../compiler/graph/choice-tape.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { checkText } from '../driver/testing.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { type DrawnProgram, drawnAttention, drawnProduct } from './drawn-units.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';

const seed = fc.readConfigureGlobal().seed ?? 0;
const count = allAsPtx ? 100 : 10;

const draws: readonly (readonly [string, (choose: Choose) => DrawnProgram])[] = [
  ['products', drawnProduct],
  ['attention', drawnAttention],
];

test.each(draws)('%s', async (name, draw) => {
  for (let at = 0; at < count; at++) {
    const { text, sizes } = draw(choicesOf(seed)(`${name} ${at}`));
    const checked = checkText(text);
    const instance = { entry: 'drawn', sizes, inputDtypes: new Map() };
    const lowered = loweredEntry(checked, instance);
    const { inputs } = describeEntry(checked.program, 'drawn');
    const given = new Map(inputs.map((each) => [each.path, randomInput(each, sizes, at)]));
    const { written } = evaluateEntry(checked, 'drawn', sizes, at);
    const said = `${text}${JSON.stringify([...sizes])}`;
    for (const target of ptxTargets) {
      const found = await runPtx(lowered, instance, given, { target }).catch((error: unknown) => {
        throw new Error(`${said} for ${target}`, { cause: error });
      });
      expect(distance(written, found), `${said} for ${target}`).toBeLessThanOrEqual(
        deviceToleranceOf(written),
      );
    }
  }
});
