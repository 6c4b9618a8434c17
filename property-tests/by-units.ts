/** Small programs by matrix units, in the emulator: as first chosen, and by choices that are drawn. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { choicesOf, pick } from '../compiler/graph/choice-tape.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Form } from '../compiler/tiles/choices/choice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { allChoices, firstChoice } from '../compiler/tiles/choices/problem.ts';
import { cudaDevice } from '../compiler/tiles/device-profile.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

const seed = fc.readConfigureGlobal().seed ?? 0;

/**
 * @param name `entry M=40,K=72`
 * @param form that of choices for matrix units, one of which each turn but the first draws
 */
export async function checkByUnits(file: string, name: string, form: Form, turns = 3): Promise<void> {
  const checked = checkSmallProgram(file);
  const [entry, given] = name.split(' ') as [string, string];
  const sizes = new Map(
    given.split(',').map((each): [string, number] => {
      const [size, value] = each.split('=');
      return [size!, Number(value)];
    }),
  );
  const instance = { entry, sizes, inputDtypes: new Map() };
  const lowered = loweredEntry(checked, instance);
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
  );
  const { written } = evaluateEntry(checked, entry, sizes, 7);
  for (let turn = 0; turn < turns; turn++) {
    const choose = choicesOf(seed)(`${name} ${turn}`);
    const drawn: string[] = [];
    const advice: Advice = (problem) => {
      const units = allChoices(problem, cudaDevice).filter((choice) => choice.form === form);
      const choice =
        turn === 0 || units.length === 0 ? firstChoice(problem, cudaDevice) : pick(choose, units);
      drawn.push(printChoice(choice));
      return choice;
    };
    const off = distance(
      written,
      await runPtx(lowered, { ...instance, advice }, inputs, { target: 'sm_80' }),
    );
    expect(off, drawn.join('; ')).toBeLessThanOrEqual(deviceToleranceOf(written));
    if (turn > 0) expect(drawn.join('; ')).toContain(form);
  }
}
