/** Small programs by matrix units, in the emulator: as first chosen, and by choices that are drawn. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { choicesOf, pick } from '../compiler/graph/choice-tape.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Form } from '../compiler/tiles/choices/choice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { allChoices, firstChoice } from '../compiler/tiles/choices/problem.ts';
import { cudaDevices } from '../compiler/tiles/device-profile.ts';
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

const seed = fc.readConfigureGlobal().seed ?? 0;

/** A program at sizes. @param name `entry M=40,K=72` */
export function loweredByName(file: string, name: string) {
  const checked = checkSmallProgram(file);
  const [entry, given] = name.split(' ') as [string, string];
  const sizes = new Map(
    given.split(',').map((each): [string, number] => {
      const [size, value] = each.split('=');
      return [size!, Number(value)];
    }),
  );
  const instance = { entry, sizes, inputDtypes: new Map() };
  return { checked, instance, lowered: loweredEntry(checked, instance) };
}

/** With inputs, and what the evaluator makes of them. */
export function preparedByName(file: string, name: string) {
  const { checked, instance, lowered } = loweredByName(file, name);
  const { entry, sizes } = instance;
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
  );
  const { written } = evaluateEntry(checked, entry, sizes, 7);
  return { instance, lowered, inputs, written };
}

/** @param form that of choices for matrix units, one of which each turn but the first draws */
export async function checkByUnits(
  file: string,
  name: string,
  form: Form,
  { target, turns }: { readonly target: PtxTarget; readonly turns: number },
): Promise<void> {
  const device = cudaDevices[target];
  const { instance, lowered, inputs, written } = preparedByName(file, name);
  for (let turn = 0; turn < turns; turn++) {
    const choose = choicesOf(seed)(`${name} ${target} ${turn}`);
    const drawn: string[] = [];
    const advice: Advice = (problem) => {
      const units = allChoices(problem, device).filter((choice) => choice.form === form);
      const choice = turn === 0 || units.length === 0 ? firstChoice(problem, device) : pick(choose, units);
      drawn.push(printChoice(choice));
      return choice;
    };
    const off = distance(written, await runPtx(lowered, { ...instance, advice }, inputs, { target }));
    expect(off, drawn.join('; ')).toBeLessThanOrEqual(deviceToleranceOf(written));
    if (turn > 0) expect(drawn.join('; ')).toContain(form);
  }
}
