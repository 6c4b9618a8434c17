/**
 * How far the first choice of a schedule is from the best that measuring finds: `npm run bench:choices --
 * [ENTRY…] [--target=wasm|wgsl] [--budget=SECONDS] [--processor] [--json] [--beside=FORM]`. Each problem of
 * each program is searched by itself, first and best timed in turns; with `--processor` by the time that the
 * process keeps cores busy (in WebAssembly on one thread), which is steadier where others use the machine
 * too. With `--beside` nothing is searched: programs are timed whole, as first chosen and with the last
 * choice of that form for their first problem, in turns. `RESULTS.md` records what it printed.
 */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { allTensors } from '../compiler/plan/storages.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { allChoices } from '../compiler/tiles/choices/problem.ts';
import { problemKey } from '../compiler/tiles/choices/problem-key.ts';
import { problemTitle } from '../compiler/tiles/choices/problem-title.ts';
import { scheduleGraph } from '../compiler/tiles/schedule-graph.ts';
import { checkFile } from '../driver/check.ts';
import { lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { type Loaded, onAdapter, onProcessor, type Trier } from '../driver/tuning/trier.ts';
import { planOf, tuneProblem } from '../driver/tuning/tune.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { accepted } from './accepted.ts';
import { type ChoiceCase, choiceCases } from './choice-cases.ts';

const entries = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const option = (name: string) =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
const byProcessor = process.argv.includes('--processor');
const target = option('target') ?? 'wasm';
/** Milliseconds for each problem. */
const budget = 1000 * Number(option('budget') ?? 5);

/** In which programs are timed beside each other. */
const turns = 9;

/** A first choice within this of the best is as good as promised. */
const promised = 1.3;

const checked = accepted(checkFile(join(packageRoot, 'bench/choices.ricci')));
const opened =
  target === 'wgsl'
    ? await openDevice(await openAdapter({ report: (line) => process.stderr.write(`${line}\n`) }))
    : undefined;
const onTarget =
  opened === undefined
    ? onProcessor(wasmDeviceHere(), undefined, byProcessor ? { threads: 1 } : {})
    : onAdapter(opened);
const trier = byProcessor ? timedByProcessor(onTarget) : onTarget;
const beside = option('beside');
if (beside !== undefined) {
  console.log(`${trier.device.name}: milliseconds of whole programs, the median and the best of ${turns}`);
  console.log(`| entry | sizes | kernels | ms | best ms | kernels, ${beside} | ms | best ms |`);
  console.log('|---|---|---|---|---|---|---|---|');
} else if (!json) {
  console.log(`${trier.device.name}: milliseconds of first choices and of the best`);
  console.log('| entry | problem | first ms | best ms | ratio | tried | first choice | best choice |');
  console.log('|---|---|---|---|---|---|---|---|');
}
const ratios: number[] = [];
/** What was searched already: programs may have the same problems. */
const known = new Set<string>();
for (const each of choiceCases)
  if (entries.length === 0 || entries.includes(each.entry))
    await (beside === undefined ? compare(each, trier) : timeBeside(each, trier, beside));
if (beside === undefined && !json) {
  const missed = ratios.filter((ratio) => ratio > promised).length;
  console.log(`${ratios.length} problems, ${missed} of them beyond ${promised}`);
}
opened?.destroy();

/** The same, whose times are those of the cores. */
function timedByProcessor(on: Trier): Trier {
  const milliseconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  return {
    ...on,
    load: async (graph, schedule) => {
      const loaded = await on.load(graph, schedule);
      const time = async () => {
        const before = milliseconds();
        await loaded.runAgain();
        return milliseconds() - before;
      };
      return { ...loaded, time };
    },
  };
}

async function compare({ entry, sizes }: ChoiceCase, on: Trier): Promise<void> {
  const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const { optimized } = accepted(lower(checked, instance));
  const schedule = scheduleGraph(optimized, on.device);
  const all = allTensors(optimized, schedule);
  const tensors = (id: number) => all.get(id)!;
  for (const { problem, choice } of schedule.chosen) {
    const key = problemKey(problem, tensors);
    if (known.has(key)) continue;
    known.add(key);
    const outcome = await tuneProblem(planOf(problem, tensors, on, {}), on, {
      ...{ budget, isStopped: () => false },
      report: (line) => process.stderr.write(`${line}\n`),
      progress: () => undefined,
    });
    const [title, first] = [problemTitle(problem), printChoice(choice)];
    if (!('choice' in outcome)) {
      console.log(
        json ? JSON.stringify({ entry, title, ...outcome }) : `| ${entry} | ${title} | ${outcome.untried} |`,
      );
      continue;
    }
    const ratio = outcome.first / outcome.milliseconds;
    ratios.push(ratio);
    const best = printChoice(outcome.choice);
    if (json) console.log(JSON.stringify({ entry, title, ...outcome, ratio, first, best }));
    else {
      const times = [outcome.first, outcome.milliseconds].map((time) => time.toFixed(3)).join(' | ');
      const cells = [entry, title, times, ratio.toFixed(2), `${outcome.tried} of ${outcome.all}`];
      console.log(`| ${[...cells, first, best === first ? 'the same' : best].join(' | ')} |`);
    }
  }
}

async function timeBeside({ entry, sizes }: ChoiceCase, on: Trier, form: string): Promise<void> {
  const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const { optimized } = accepted(lower(checked, instance));
  let isGiven = false;
  const given: Advice = (problem) => {
    const choice = isGiven
      ? undefined
      : allChoices(problem, on.device).findLast((each) => each.form === form);
    isGiven ||= choice !== undefined;
    return choice;
  };
  const schedules = [scheduleGraph(optimized, on.device), scheduleGraph(optimized, on.device, given)];
  if (!isGiven) return;
  const { inputs } = describeEntry(checked.program, entry);
  const values = new Map(inputs.map((each) => [each.path, randomInput(each, instance.sizes, 7)]));
  const programs: { readonly kernels: number; readonly loaded: Loaded; readonly times: number[] }[] = [];
  for (const schedule of schedules) {
    const loaded = await on.load(optimized, schedule);
    await loaded.run(values);
    programs.push({ kernels: schedule.steps.length, loaded, times: [] });
  }
  for (let turn = 0; turn < turns; turn++)
    for (const { loaded, times } of programs) times.push(await loaded.time());
  const cells = programs.flatMap(({ kernels, times }) => {
    const sorted = times.toSorted((left, right) => left - right);
    return [kernels, ...[sorted[turns >> 1]!, sorted[0]!].map((time) => time.toFixed(2))];
  });
  console.log(`| ${[entry, Object.values(sizes).join(' × '), ...cells].join(' | ')} |`);
  for (const { loaded } of programs) loaded.destroy();
}
