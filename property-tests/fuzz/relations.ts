/** What holds of every program and mesh, each relation as a check of one subject. */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import { choicesOf, pick } from '../../compiler/graph/choice-tape.ts';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import { float64 } from '../../compiler/graph/float64.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { printGraph } from '../../compiler/graph/print.ts';
import { checkGraph } from '../../compiler/graph/well-formed.ts';
import { withoutCollectives } from '../../compiler/optimize/collectives.ts';
import { optimize, passes } from '../../compiler/optimize/passes.ts';
import { autoPlace } from '../../compiler/partition/auto/auto-place.ts';
import { defaultCostModel } from '../../compiler/partition/auto/cost-model.ts';
import { type CollectiveOptions, exactOptions } from '../../compiler/partition/collectives/options.ts';
import {
  localizeOptimized,
  optimizePlaced,
  placedPasses,
} from '../../compiler/partition/collectives/passes.ts';
import { evaluateOnMesh, resized } from '../../compiler/partition/evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../../compiler/partition/localize.ts';
import { exactAlgebra, scatter } from '../../compiler/partition/random-partition.ts';
import { difference, fault, predictedBytes, sentBytes } from '../../compiler/partition/random-programs.ts';
import { cudaDevices, leastDevice, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import { ptxTargets } from '../../compiler/tiles/ptx-target.ts';
import { compileFor } from '../../driver/compile.ts';
import { drawnAdvice } from '../drawn-advice.ts';
import { runsAsPtx } from './as-ptx.ts';
import { randomTextFault } from './front-end.ts';
import { mayHideInfinity, notingFloat32 } from './hidden-infinities.ts';
import { runsInWasm } from './in-wasm.ts';
import { liveBytes } from './live-bytes.ts';
import { orTooLarge, runsOnAdapter, runsOnMesh } from './on-adapter.ts';
import { partitionedOverField } from './over-field.ts';
import { type MeshSubject, type Subject, valuesOf } from './subject.ts';
import { raisedFault, raisedPlacementFault } from './through-source.ts';
import { type Verdict, verdict } from './verdict.ts';

export interface Relation<S extends Subject> {
  /** Of 100 subjects, how many it is checked of in a long run: those that take long, of fewer. */
  readonly share: number;
  readonly check: (subject: S) => Verdict | Promise<Verdict>;
}

export const programRelationNames = [
  'well-formed',
  'optimized',
  'a pass alone',
  'a pass left out',
  'some passes',
  'raised',
  'deterministic',
  'live memory',
  'in WebAssembly',
  'under any schedule',
  'as PTX',
  'on an adapter',
  'front end',
] as const;
export type ProgramRelation = (typeof programRelationNames)[number];

export const meshRelationNames = [
  'partitioned',
  'partitioned over a field',
  'traffic',
  'optimized devices',
  'collective passes',
  'placement checked',
  'deterministic devices',
  'placed automatically',
  'mesh on an adapter',
] as const;
export type MeshRelation = (typeof meshRelationNames)[number];

/** What throws is broken: no program of a generator may make the compiler throw. */
async function verdictOf<S extends Subject>({ check }: Relation<S>, subject: S): Promise<Verdict> {
  try {
    return await check(subject);
  } catch (error) {
    return { broken: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

// ── programs ───────────────────────────────────────────────────────────────────────────────────────────────

const passNames: readonly string[] = passes.map(({ name }) => name);

export const programRelations: { readonly [R in ProgramRelation]: Relation<Subject> } = {
  'well-formed': {
    share: 100,
    check: ({ program: { graph } }) => {
      const [ill] = checkGraph(graph);
      return verdict(ill && JSON.stringify(ill));
    },
  },
  optimized: { share: 100, check: (subject) => withPasses(subject, () => true) },
  'a pass alone': {
    share: 50,
    check: (subject) => {
      const chosen = pick(choicesOf(subject.seed)('alone'), passNames);
      return withPasses(subject, (name) => name === chosen);
    },
  },
  'a pass left out': {
    share: 50,
    check: (subject) => {
      const chosen = pick(choicesOf(subject.seed)('left out'), passNames);
      return withPasses(subject, (name) => name !== chosen);
    },
  },
  'some passes': {
    share: 50,
    check: (subject) => {
      const choose = choicesOf(subject.seed)('some');
      const chosen = new Set(passNames.filter(() => choose(2) === 1));
      return withPasses(subject, (name) => chosen.has(name));
    },
  },
  raised: { share: 60, check: ({ program }) => verdict(raisedFault(program.graph, valuesOf(program))) },
  deterministic: {
    share: 30,
    check: ({ program: { graph } }) => {
      const [first, second] = [graph, structuredClone(graph)].map((own) => compiledText(optimize(own)));
      return verdict(textDifference(first!, second!));
    },
  },
  'live memory': {
    share: 30,
    check: ({ program: { graph } }) => {
      const optimized = optimize(graph);
      const { schedule, package: made } = compiled(optimized);
      const live = liveBytes(optimized, schedule);
      if (live === undefined) return 'not told';
      const { peakBytes } = made.manifest;
      return verdict(live <= peakBytes ? undefined : `${live} bytes live at once, ${peakBytes} planned`);
    },
  },
  'in WebAssembly': { share: 50, check: orTooLarge((subject) => runsInWasm(subject)) },
  'under any schedule': { share: 50, check: orTooLarge(underAnySchedule) },
  'as PTX': { share: 20, check: orTooLarge(asPtx) },
  'on an adapter': { share: 5, check: orTooLarge((subject) => runsOnAdapter(subject)) },
  // Of a text that follows from the seed, and not of the program.
  'front end': { share: 100, check: ({ seed }) => verdict(randomTextFault(seed)) },
};

/** As chosen at random for each problem: mostly in WebAssembly, as drivers take long to compile. */
function underAnySchedule(subject: Subject): Promise<Verdict> {
  const choose = choicesOf(subject.seed)('schedules');
  if (choose(20) === 0) return runsOnAdapter(subject, (device) => drawnAdvice(choose, device));
  return runsInWasm(subject, { advice: drawnAdvice(choose, wasmDevice) });
}

/** For either target, by the first choice of schedules or by any. */
function asPtx(subject: Subject): Promise<Verdict> {
  const choose = choicesOf(subject.seed)('ptx');
  const target = pick(choose, ptxTargets);
  const advice = choose(2) === 0 ? undefined : drawnAdvice(choose, cudaDevices[target]);
  return runsAsPtx(subject, target, advice);
}

/** Bit for bit in f32, and well-formed after each. */
function withPasses({ program: { graph, inputs } }: Subject, isRun: (name: string) => boolean): Verdict {
  const skip = new Set(passNames.filter((name) => !isRun(name)));
  const after = optimize(graph, { skip });
  const algebra = notingFloat32();
  const wanted = evaluateGraph(graph, inputs, algebra);
  const found = difference(wanted, evaluateGraph(after, inputs, float32));
  if (found !== undefined && mayHideInfinity(algebra, after)) return 'not told';
  const run = passNames.filter((name) => !skip.has(name)).join(', ');
  return verdict(found && `${found}\nafter ${run}\n${printGraph(graph)}\nbecame\n${printGraph(after)}`);
}

function compiled(optimized: Graph, device?: DeviceProgram) {
  const instance = { entry: optimized.name, sizes: new Map(), inputDtypes: new Map() };
  return compileFor({ optimized, below: new Map(), ...(device && { device }) }, instance, leastDevice);
}

function compiledText(optimized: Graph, device?: DeviceProgram): string {
  const { package: made } = compiled(optimized, device);
  return [JSON.stringify(made.manifest, undefined, 1), ...made.code.values()].join('\n');
}

function textDifference(first: string, second: string): string | undefined {
  if (first === second) return undefined;
  const [left, right] = [first.split('\n'), second.split('\n')];
  const at = left.findIndex((line, place) => line !== right[place]);
  return `line ${at}: ${left[at]} became ${right[at]}`;
}

// ── meshes ─────────────────────────────────────────────────────────────────────────────────────────────────

export const meshRelations: { readonly [R in MeshRelation]: Relation<MeshSubject> } = {
  partitioned: { share: 100, check: ({ partitioned }) => verdict(fault(partitioned)) },
  'partitioned over a field': { share: 50, check: partitionedOverField },
  traffic: {
    share: 50,
    check: ({ partitioned }) => {
      const [sent, predicted] = [sentBytes(partitioned), predictedBytes(partitioned.placed)];
      return verdict(sent === predicted ? undefined : `${sent} bytes sent, ${predicted} predicted`);
    },
  },
  'optimized devices': {
    share: 30,
    check: ({ partitioned: { device, blocks } }) => {
      const graph = optimize(device.graph);
      const algebra = notingFloat32();
      const wanted = evaluateOnMesh(device, blocks, algebra).outputs;
      const found = difference(wanted, evaluateOnMesh({ ...device, graph }, blocks, float32).outputs);
      return found !== undefined && mayHideInfinity(algebra, graph) ? 'not told' : verdict(found);
    },
  },
  'collective passes': {
    share: 30,
    check: (subject) => {
      const choose = choicesOf(subject.seed)('collective passes');
      const skip = new Set(placedPasses.map(({ name }) => name).filter(() => choose(4) === 0));
      const options: CollectiveOptions = {
        ...exactOptions,
        skip,
        reassociates: choose(2) === 0,
        mergedBytes: pick(choose, [0, 64, 4096]),
      };
      return optimizedPlacement(subject, options);
    },
  },
  'placement checked': {
    share: 30,
    check: ({ program, cut, partitioned }) => {
      const passed = optimizePlaced(partitioned.placed, exactOptions);
      const first = raisedPlacementFault(program, cut, partitioned.placed.placements);
      if (first !== undefined) return verdict(first);
      const { graph: written, placements } = passed;
      const isWhole = partitioned.device.whole?.inputs.size === 0;
      return isWhole ? verdict(raisedPlacementFault(program, { ...cut, written }, placements)) : 'holds';
    },
  },
  'deterministic devices': {
    share: 10,
    check: ({ partitioned: { placed } }) => {
      const [first, second] = [placed, structuredClone(placed)].map((own) => {
        const device = localizeOptimized(own, exactOptions);
        return compiledText(optimize(device.graph), device);
      });
      return verdict(textDifference(first!, second!));
    },
  },
  'placed automatically': { share: 5, check: placedAutomatically },
  'mesh on an adapter': { share: 1, check: orTooLarge(runsOnMesh) },
};

/** In exact arithmetic the same; without another order of sums, to the bit in f32; and no more is sent. */
function optimizedPlacement({ partitioned }: MeshSubject, options: CollectiveOptions): Verdict {
  const { placed, device, blocks } = partitioned;
  const rejected: string[] = [];
  const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
  const faster = { ...after, whole: device.whole! };
  if (rejected.length > 0) return { broken: `not taken: ${rejected.join('; ')}` };
  const algebra = options.reassociates ? exactAlgebra() : undefined;
  const [wanted, found] = [device, faster].map((own) => evaluateOnMesh(own, blocks, algebra ?? float32));
  if (algebra?.isExact() === false) return 'not told';
  const sum = (sent: ReadonlyMap<string, number>) =>
    [...sent.values()].reduce((all, bytes) => all + bytes, 0);
  const [before, now] = [sum(wanted!.sent), sum(found!.sent)];
  if (now > before) return { broken: `${before} bytes sent before, ${now} after` };
  const different = difference(wanted!.outputs, found!.outputs);
  return verdict(
    different && `${different}\n${printGraph(placed.graph)}\nbecame\n${printGraph(after.graph)}`,
  );
}

function placedAutomatically({ program, cut, seed }: MeshSubject): Verdict {
  const { mesh } = cut.options;
  const choose = choicesOf(seed)('costs');
  const flopsPerSecond = pick(choose, [1, 1e3, 1e6, 1e14]);
  const bytesPerSecond = pick(choose, [1e3, 1e6, 1e12]);
  const costs = { ...defaultCostModel, flopsPerSecond, link: { bytesPerSecond, latencySeconds: 0 } };
  const graph = withoutCollectives(program.graph);
  const found = autoPlace(graph, { mesh, inputs: new Map(), outputs: new Map(), costs });
  if (found.kind !== 'placed') return { broken: found.kind };
  const device = { ...localize(found.placed), whole: found.whole };
  const blocks = found.placed.graph.inputs.map(({ path, tensor }, position) => {
    const whole: TensorValue<number> = resized(program.inputs.get(tensor.id)!, tensor.shape, float64);
    return [path, scatter(whole, device.inputs.get(path)!, mesh, position)] as const;
  });
  return verdict(fault({ program, placed: found.placed, device, blocks: new Map(blocks) }));
}

// ── both ───────────────────────────────────────────────────────────────────────────────────────────────────

export type AnyRelation = ProgramRelation | MeshRelation;

export function isMeshRelation(relation: AnyRelation): relation is MeshRelation {
  return (meshRelationNames as readonly AnyRelation[]).includes(relation);
}

/** @throws where a relation of meshes is asked of a program that is on none */
export async function checkRelation(relation: AnyRelation, subject: Subject | MeshSubject): Promise<Verdict> {
  if (!isMeshRelation(relation)) return verdictOf(programRelations[relation], subject);
  if (!('cut' in subject)) throw new Error(`${relation} is asked of a program that is on no mesh`);
  return verdictOf(meshRelations[relation], subject);
}
