/** A file that says what the devices of a mesh and their links can do, for the partitioner to weigh. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type CostModel, defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import { fileReason } from '../compiler/plan/file-reason.ts';
import { UserError } from '../runtime/errors.ts';

const positive = z.number().positive();
const linkSchema = z.strictObject({
  bytesPerSecond: positive,
  latencySeconds: z.number().nonnegative(),
});

/** What is left out is as in a node of eight H100. */
const machineSchema = z.strictObject({
  flopsPerSecond: positive.default(defaultCostModel.flopsPerSecond),
  bytesPerSecond: positive.default(defaultCostModel.bytesPerSecond),
  memoryBytes: positive.default(defaultCostModel.memoryBytes),
  link: linkSchema.default(defaultCostModel.link),
  links: z.record(z.string(), linkSchema).default({}),
});

/** As in a machine file: what a device and its links do. All of it may be left out. */
export type Machine = z.input<typeof machineSchema>;

/** @throws UserError `wrong-input` naming the field that is wrong */
export function costModelOf(machine: Machine, source = 'the machine'): CostModel {
  const parsed = machineSchema.safeParse(machine);
  if (parsed.success) return { ...parsed.data, links: new Map(Object.entries(parsed.data.links)) };
  const issue = parsed.error.issues[0]!;
  const field = issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
  throw new UserError(
    'wrong-input',
    `${source} is no description of a machine${field}: ${issue.message}`,
    'write as in {"flopsPerSecond": 4e14, "memoryBytes": 80e9, "link": {"bytesPerSecond": 4e11, "latencySeconds": 3e-6}}',
  );
}

/** @throws UserError when the file cannot be read or does not describe a machine */
export function readMachine(path: string): CostModel {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError('file-access', `cannot read ${path}: ${fileReason(error)}`, 'give a JSON file');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError('wrong-input', `${path} is no JSON: ${(error as Error).message}`, 'correct it');
  }
  return costModelOf(value as Machine, path);
}
