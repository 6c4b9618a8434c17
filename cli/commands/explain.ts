import { type Command, Option } from 'commander';
import { bytesText, typeText } from '../../compiler/plan/storage-bytes.ts';
import { compileFor, type Instance, type Lowered, lower } from '../../driver/compile.ts';
import {
  type ExplainedMesh,
  type ExplainedNode,
  type ExplainedPlan,
  type ExplainedTensor,
  type Explanation,
  explain,
  explainPlan,
} from '../../driver/explain.ts';
import { showList } from '../../dsl/placement/placement.ts';
import { isUserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { createOutput, type Output } from '../output.ts';
import type { Streams } from '../streams.ts';
import { alignColumns, counted, countText } from '../table.ts';
import { type EntryOptions, orEnd, prepareEntry, withEntryOptions } from './entry-options.ts';

type PlanFor = 'auto' | 'hardware' | 'software' | 'none';

interface ExplainOptions extends EntryOptions {
  readonly adapter: PlanFor;
}

export function addExplain(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('explain')
      .description('what an entry takes, gives and costs: shapes, FLOPs, bytes, peak memory')
      .argument('<file>', 'a .ricci file'),
  )
    .addOption(
      new Option('--adapter <kind>', 'the adapter to plan for; none leaves the plan out')
        .choices(['auto', 'hardware', 'software', 'none'])
        .default('auto'),
    )
    .action(async (file: string, options: ExplainOptions) => {
      const output = createOutput(options.json === true, streams);
      const { checked, instance } = prepareEntry(file, options, output);
      const lowered = orEnd(lower(checked, instance, output.advance), output);
      const explanation = explain(checked, instance, lowered);
      const plan = await planFor(options.adapter, lowered, instance, output);
      output.data(reportText(explanation, plan), {
        ...explanation,
        plan: typeof plan === 'string' ? undefined : plan,
      });
    });
}

/** What the plan is, or why there is none: the report is good without one. */
async function planFor(
  kind: PlanFor,
  lowered: Lowered,
  instance: Instance,
  output: Output,
): Promise<ExplainedPlan | string> {
  if (kind === 'none') return 'not asked for';
  try {
    const opened = await openDevice(await openAdapter({ kind }));
    try {
      return explainPlan(compileFor(lowered, instance, opened.profile, output.advance), opened);
    } finally {
      opened.destroy();
    }
  } catch (error) {
    if (isUserError(error)) return error.message;
    throw error;
  }
}

// ── as text ────────────────────────────────────────────────────────────────────────────────────────────────

function reportText(explanation: Explanation, plan: ExplainedPlan | string): string {
  const { signature, instance, sizes, inputs, outputs, nodes, totals, peakLiveBytes, mesh } = explanation;
  const sizeText = Object.entries(sizes).map(([name, value]) => `${name}=${value}`);
  const bytes = totals.bytesRead + totals.bytesWritten;
  return [
    signature,
    ...(sizeText.length === 0 ? [] : ['', `at ${sizeText.join(', ')}`, instance]),
    '',
    ...(mesh === undefined ? [] : [meshText(mesh), '']),
    ...tensorLines(inputs, outputs),
    '',
    ...nodeLines(nodes, explanation),
    '',
    `${countText(totals.flops)} FLOPs, ${countText(totals.transcendentals)} of them exp, log and the like; ` +
      `${bytesText(bytes)} moved: ${(totals.flops / Math.max(1, bytes)).toFixed(1)} FLOPs a byte`,
    `peak memory of the graph: ${bytesText(peakLiveBytes)}, inputs and outputs included`,
    planText(plan),
  ].join('\n');
}

function meshText({ axes, devices, sentBytes, exchanges }: ExplainedMesh): string {
  const sizes = axes.map(({ name, size }) => `${name}=${size}`).join(', ');
  const sent = exchanges.map(
    ({ verb, axes: along, times, sentBytes: bytes }) =>
      `${verb} ${showList(along)} ${times === 1 ? 'once' : `${times} times`}, ${bytesText(bytes)}`,
  );
  const traffic = sent.length === 0 ? 'sends nothing' : `sends ${bytesText(sentBytes)}: ${sent.join('; ')}`;
  return `each of ${counted(devices, 'device')} (${sizes}) has what follows, and ${traffic}`;
}

function planText(plan: ExplainedPlan | string): string {
  if (typeof plan === 'string') return `no plan for a device: ${plan}`;
  const { device, kernels, launches, peakBytes } = plan;
  return `planned on ${device}: ${counted(kernels, 'kernel')}, ${counted(launches, 'launch', 'es')}, ${bytesText(peakBytes)} of device memory`;
}

function tensorLines(
  inputs: readonly ExplainedTensor[],
  outputs: readonly ExplainedTensor[],
): readonly string[] {
  const rows = (title: string, tensors: readonly ExplainedTensor[]) =>
    tensors.map((tensor, position) => [
      position === 0 ? title : '',
      tensor.path,
      typeText(tensor),
      bytesText(tensor.bytes),
    ]);
  return alignColumns(
    [...rows('inputs', inputs), ...rows('outputs', outputs)],
    ['left', 'left', 'left', 'right'],
  );
}

function nodeLines(nodes: readonly ExplainedNode[], { totals }: Explanation): readonly string[] {
  const title = ['node', 'result', 'type', 'FLOPs', 'read', 'written'];
  const total = [
    'total',
    '',
    '',
    countText(totals.flops),
    bytesText(totals.bytesRead),
    bytesText(totals.bytesWritten),
  ];
  const rows = [title, ...nodes.flatMap((node) => nodeRows(node, '')), total];
  return alignColumns(rows, ['left', 'left', 'left', 'right', 'right', 'right']);
}

/** The nodes of a loop stand under it, with what one step of them costs. */
function nodeRows(node: ExplainedNode, indent: string): readonly (readonly string[])[] {
  const { what, result, type, flops, bytesRead, bytesWritten, step } = node;
  const counts = [countText(flops), bytesText(bytesRead), bytesText(bytesWritten)];
  const inside = step.length === 0 ? [] : [[`${indent}  each step:`]];
  return [
    [`${indent}${what}`, result, type, ...counts],
    ...inside,
    ...step.flatMap((each) => nodeRows(each, `${indent}  `)),
  ];
}
