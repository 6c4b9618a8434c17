/** What was measured of a device, as a file: how fast it is, and which choices are best, by problem. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fileReason } from '../../compiler/plan/file-reason.ts';
import type { Choice } from '../../compiler/tiles/choices/choice.ts';
import { parseChoice, printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import type { Rates } from '../../compiler/tiles/device-rates.ts';
import { UserError } from '../../runtime/errors.ts';
import { writeFileBeside } from '../write-file.ts';

/** Whatever the choice of a schedule may depend on, by name. */
export type Identity = Readonly<Record<string, string>>;

export interface Tuning {
  readonly device: Identity;
  /** How fast the device is; undefined where that was not measured. */
  readonly rates: Rates | undefined;
  readonly problems: ReadonlyMap<string, TunedProblem>;
}

export interface TunedProblem {
  readonly choice: Choice;
  /** Of the choice, and of the one that is taken without tuning. */
  readonly milliseconds: number;
  readonly first: number;
}

const choiceText = z.string().transform((text, context): Choice => {
  const choice = parseChoice(text);
  if ('form' in choice) return choice;
  context.addIssue({ code: 'custom', message: `no choice of a schedule: ${choice.wrong}` });
  return z.NEVER;
});

const milliseconds = z.number().nonnegative();

const seconds = z.number().positive();

const ratesSchema: z.ZodType<Rates> = z.strictObject({
  invocations: z.number().min(1),
  arithmetic: seconds,
  load: seconds,
  shared: seconds,
  broadcast: seconds,
  barrier: seconds,
  workgroup: seconds,
  kernel: seconds,
});

const fileSchema = z.strictObject({
  format: z.literal('ricci-tuning'),
  version: z.literal(1),
  device: z.record(z.string(), z.string()),
  rates: ratesSchema.optional(),
  problems: z.array(
    z.strictObject({ problem: z.string(), choice: choiceText, milliseconds, first: milliseconds }),
  ),
});

/** @throws UserError when it cannot be read or is no tuning file, saying where. */
export function readTuning(path: string): Tuning {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('file-access', `cannot read ${path}: ${fileReason(error)}`, help);
  }
  return parseTuning(text, path);
}

const help = 'give what `ricci tune` wrote, or leave it out';

/** @throws UserError `malformed-file` */
export function parseTuning(text: string, path: string): Tuning {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError('malformed-file', `${path} is no JSON: ${(error as Error).message}`, help);
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const at = issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
    throw new UserError('malformed-file', `${path} is no tuning file${at}: ${issue.message}`, help);
  }
  const { device, rates, problems } = parsed.data;
  return { device, rates, problems: new Map(problems.map(({ problem, ...tuned }) => [problem, tuned])) };
}

/** Beside the old file, then in its place. @throws UserError `file-access` */
export function writeTuning(path: string, { device, rates, problems }: Tuning): void {
  const file: z.input<typeof fileSchema> = {
    format: 'ricci-tuning',
    version: 1,
    device: { ...device },
    ...(rates === undefined ? {} : { rates }),
    problems: [...problems].map(([problem, tuned]) => ({
      problem,
      ...tuned,
      choice: printChoice(tuned.choice),
    })),
  };
  writeFileBeside(path, `${JSON.stringify(file, undefined, 2)}\n`);
}

/** What differs, in words; undefined for the same device. */
export function differenceOf(measured: Identity, here: Identity): string | undefined {
  const names = [...new Set([...Object.keys(measured), ...Object.keys(here)])];
  const name = names.find((each) => measured[each] !== here[each]);
  if (name === undefined) return undefined;
  const [then, now] = [measured, here].map((identity) => identity[name] || 'none');
  return `${name} was ${then}, and is ${now}`;
}
