import { type Command, Option } from 'commander';
import { bytesText, typeText } from '../../compiler/plan/storage-bytes.ts';
import { chooseTarget, onChosen } from '../../driver/choose-target.ts';
import { compileFor, compileWasm } from '../../driver/compile.ts';
import {
  type ExplainedMesh,
  type ExplainedNode,
  type ExplainedPlan,
  type ExplainedTensor,
  type Explanation,
  explain,
  explainPlan,
  type WrittenOut,
} from '../../driver/explain.ts';
import { type Instance, type Lowered, lower } from '../../driver/lower.ts';
import { entryPicture, type MeshPicture } from '../../driver/mesh-picture.ts';
import { writeFileBeside } from '../../driver/write-file.ts';
import { showList } from '../../dsl/placement/placement.ts';
import { isUserError } from '../../runtime/errors.ts';
import { wasmDeviceHere } from '../../runtime/wasm/features.ts';
import { UsageError } from '../exit.ts';
import { createOutput, type Output } from '../output.ts';
import { gridsOf } from '../picture/grid.ts';
import { svgOf } from '../picture/svg.ts';
import { drawGrids } from '../picture/terminal.ts';
import type { Streams } from '../streams.ts';
import { alignColumns, counted, countText } from '../table.ts';
import { type EntryOptions, orEnd, prepareEntry, refuseBounds, withEntryOptions } from './entry-options.ts';
import { checkPlace } from './results.ts';

type PlanFor = 'auto' | 'hardware' | 'software' | 'none';

interface ExplainOptions extends EntryOptions {
  readonly adapter: PlanFor;
  readonly meshPicture?: boolean;
  readonly tensor: readonly string[];
  readonly svg?: string;
}

export function addExplain(command: Command, streams: Streams): void {
  withEntryOptions(
    command
      .command('explain')
      .description('what an entry takes, gives and costs: shapes, FLOPs, bytes, peak memory')
      .argument('<file>', 'a .ricci file'),
  )
    .addOption(
      new Option(
        '--adapter <kind>',
        'the adapter to plan for: if not given, where run would run it; none leaves the plan out',
      )
        .choices(['auto', 'hardware', 'software', 'none'])
        .default('auto'),
    )
    .option(
      '--mesh-picture',
      'instead, draw which device of the mesh holds which part of each input and output',
    )
    .addOption(
      new Option('--tensor <name>', 'draw this tensor of the program, not inputs and outputs; repeatable')
        .argParser((name: string, before: readonly string[]) => [...before, name])
        .default([], 'none'),
    )
    .option('--svg <file>', 'draw the mesh picture into an SVG file')
    .action(async (file: string, options: ExplainOptions) => {
      refuseWithoutPicture(options);
      const output = createOutput(options.json === true, streams);
      refuseBounds(options);
      const { checked, instance } = prepareEntry(file, options, output);
      const lowered = orEnd(lower(checked, instance, output.advance), output);
      if (options.meshPicture === true) {
        const picture = entryPicture(checked, instance, lowered, options.tensor);
        showPicture(picture, options.svg, output, streams.outColour);
        return;
      }
      const explanation = explain(checked, instance, lowered);
      const plan = await planFor(options.adapter, lowered, instance, output);
      output.data(reportText(explanation, plan), {
        ...explanation,
        plan: typeof plan === 'string' ? undefined : plan,
      });
    });
}

/** Options that are of the picture. */
function refuseWithoutPicture({ meshPicture, tensor, svg, mesh }: ExplainOptions): void {
  if (meshPicture === true) {
    if (mesh.size === 0)
      throw new UsageError(
        '--mesh-picture draws a mesh, and none is given',
        'add --mesh, as in --mesh sp=2,tp=4',
      );
    if (svg === undefined) return;
    if (!svg.endsWith('.svg'))
      throw new UsageError(`${svg}: a picture is written as .svg`, 'give --svg this ending');
    checkPlace(svg);
    return;
  }
  const alone = [...(tensor.length === 0 ? [] : ['--tensor']), ...(svg === undefined ? [] : ['--svg'])];
  if (alone.length > 0)
    throw new UsageError(`${alone.join(', ')}: for the picture of a mesh only`, 'add --mesh-picture');
}

function showPicture(picture: MeshPicture, svg: string | undefined, output: Output, colour: boolean): void {
  const grids = gridsOf(picture);
  if (svg !== undefined) writeFileBeside(svg, svgOf(grids));
  const text = svg === undefined ? drawGrids(grids, colour) : `written to ${svg}`;
  output.data(text, { ...picture, ...(svg === undefined ? {} : { file: svg }) });
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
    const chosen = await chooseTarget({ adapter: kind, report: () => undefined });
    return await onChosen(chosen, {
      wasm: async () => {
        const device = wasmDeviceHere();
        const { manifest } = compileWasm(lowered, instance, device, output.advance).package;
        return explainPlan(manifest, device.name);
      },
      wgsl: async () => {
        const opened = await chosen.open();
        try {
          const { manifest } = compileFor(lowered, instance, opened.profile, output.advance).package;
          return explainPlan(manifest, opened.description);
        } finally {
          opened.destroy();
        }
      },
    });
  } catch (error) {
    if (isUserError(error)) return error.message;
    throw error;
  }
}

// ── as text ────────────────────────────────────────────────────────────────────────────────────────────────

function reportText(explanation: Explanation, plan: ExplainedPlan | string): string {
  const { signature, instance, sizes, inputs, outputs, nodes, totals, peakLiveBytes, mesh, written } =
    explanation;
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
    ...(written === undefined ? [] : ['', writtenText(written)]),
  ].join('\n');
}

function writtenText(written: WrittenOut): string {
  return 'source' in written
    ? `what the compiler placed, written out (compile --show source prints this alone):\n\n${written.source.trimEnd()}`
    : `what the compiler placed cannot be written out: ${written.missing}`;
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
  return `planned on ${device}: ${counted(kernels, 'kernel')}, ${counted(launches, 'launch', 'es')}, ${bytesText(peakBytes)} of memory`;
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
