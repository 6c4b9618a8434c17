/**
 * The devices of a mesh meet in the same collectives, whatever order they get on in: none waits without end, and
 * the bits are those of a run in one memory.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { expandSteps } from '../../compiler/plan/expand.ts';
import type { Package } from '../../compiler/plan/package.ts';
import { compileFor } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { deviceCount, type Mesh, showList } from '../../dsl/placement/placement.ts';
import type { Communicator } from '../../runtime/mesh/communicator.ts';
import { inProcess } from '../../runtime/mesh/in-process.ts';
import type { LoadedRank } from '../../runtime/mesh/loaded-rank.ts';
import { loadMesh } from '../../runtime/mesh/run-mesh.ts';
import { loadRank } from '../../runtime/mesh/run-rank.ts';
import { meshOf } from '../../runtime/mesh/testing.ts';
import { runWhole } from '../../runtime/mesh/whole-tensors.ts';
import type { OpenedDevice } from '../../runtime/webgpu/device.ts';
import { inMemory, type StoredTensor } from '../../runtime/weights/stored-tensor.ts';
import { tensorsDigest } from '../../runtime/weights/tensors-digest.ts';
import { checkSmallProgram } from '../small-programs.ts';
import { closeAdapter, device, packageOfMesh, storedInputs } from './on-adapter.ts';
import { cutOver, draw } from './subject.ts';

/** So many programs whose devices meet most often, of so many that are drawn. */
const [chosen, drawn] = [8, 60];
/** Milliseconds. A run takes a hundredth of it; devices that wait for each other would wait for good. */
const timeout = 30_000;

/** Attention and experts: they compute while more than one exchange is on its way. */
const written: readonly {
  readonly file: string;
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly mesh: Mesh;
}[] = [
  {
    file: 'sequence.ricci',
    entry: 'around',
    sizes: { S: 6, G: 1, R: 2, A: 2, sp: 3 },
    mesh: meshOf({ sp: 3, node: 1, gpu: 1 }),
  },
  {
    file: 'sequence.ricci',
    entry: 'two_ways',
    sizes: { S: 8, G: 2, R: 1, A: 2, node: 2, gpu: 2 },
    mesh: meshOf({ sp: 1, node: 2, gpu: 2 }),
  },
  {
    file: 'dispatch.ricci',
    entry: 'dropless',
    sizes: { T: 6, D: 4, E: 6, F: 4, ep: 3 },
    mesh: meshOf({ ep: 3, tp: 1, etp: 1 }),
  },
];

interface Program {
  readonly compiled: Package;
  readonly inputs: ReadonlyMap<string, StoredTensor>;
}

interface Tried extends Program {
  /** Of the outputs, run in one memory. */
  readonly wanted: string;
}

let opened: OpenedDevice;
let tried: readonly Tried[];

beforeAll(async () => {
  opened = await device();
  tried = await Promise.all(
    [...drawnPrograms(), ...writtenPrograms()].map(async (program) => {
      const loaded = await loadMesh(program.compiled, opened);
      const wanted = await digestOf(program, loaded);
      loaded.destroy();
      return { ...program, wanted };
    }),
  );
}, 100_000);
afterAll(closeAdapter);

function drawnPrograms(): readonly Program[] {
  const series = (fc.readConfigureGlobal().seed ?? 0) + 2;
  const found = Array.from({ length: drawn }, (_, position) => {
    const { cuts, ...subject } = draw(series, position, 1);
    const onMesh = cutOver(subject, cuts[0]!);
    const compiled = onMesh && packageOfMesh(onMesh, opened.profile);
    return compiled === undefined ? [] : [{ compiled, inputs: storedInputs(subject.program) }];
  }).flat();
  return found
    .toSorted((left, right) => groups(right.compiled).length - groups(left.compiled).length)
    .slice(0, chosen);
}

function writtenPrograms(): readonly Program[] {
  return written.map(({ file, entry, sizes: given, mesh }) => {
    const checked = checkSmallProgram(file);
    const sizes = new Map(Object.entries(given));
    const instance = { entry, sizes, inputDtypes: new Map(), mesh };
    const lowered = lower(checked, instance);
    if (lowered.kind === 'rejected')
      throw new Error(lowered.diagnostics.map(({ message }) => message).join());
    const { package: compiled } = compileFor(lowered, instance, opened.profile);
    const { inputs } = describeEntry(checked.program, entry);
    return {
      compiled,
      inputs: new Map(inputs.map((each) => [each.path, inMemory(randomInput(each, sizes, 3))])),
    };
  });
}

/** Of each exchange in which a device takes part, with whom. */
function groups({ manifest }: Package): readonly string[] {
  return expandSteps(manifest).commands.flatMap((command) =>
    command.kind === 'exchange' && command.step.devices > 1 ? [showList(command.step.axes)] : [],
  );
}

async function digestOf(
  { compiled, inputs }: Program,
  loaded: Parameters<typeof runWhole>[0],
): Promise<string> {
  return tensorsDigest(await runWhole(loaded, compiled.manifest, inputs));
}

// ── devices that get on as they are told ───────────────────────────────────────────────────────────────────

/** Fulfilled when something else has decided that it is its turn. */
type Turn = (what: string) => Promise<void>;

/** The same group; its member calls, and hears that a call is done, when it is its turn. */
function delayed(inner: Communicator, turn: Turn, keepsOrder: boolean): Communicator {
  const { label, rank, size } = inner;
  let before: Promise<void> = Promise.resolve();
  const call = (what: string): Promise<void> => {
    before = keepsOrder ? before.then(() => turn(what)) : turn(what);
    return before;
  };
  return {
    label,
    rank,
    size,
    async exchange(collective, send, receive) {
      await call(`rank ${rank} calls ${collective.verb} over ${label}`);
      await inner.exchange(collective, send, receive);
      await turn(`rank ${rank} has done ${collective.verb} over ${label}`);
    },
    async split(color, key, name) {
      await call(`rank ${rank} splits ${label}`);
      return delayed(await inner.split(color, key, name), turn, keepsOrder);
    },
  };
}

/** Each device of the mesh as a rank of its own, all run at once. */
async function loadRanks(compiled: Package, turn: Turn, keepsOrder = true) {
  const worlds = inProcess(deviceCount(compiled.manifest.mesh!));
  const ranks: readonly LoadedRank[] = await Promise.all(
    worlds.map((world) => loadRank(compiled, opened, delayed(world, turn, keepsOrder))),
  );
  return {
    mesh: compiled.manifest.mesh!,
    run: (inputs: readonly Parameters<LoadedRank['run']>[0][]) =>
      Promise.all(ranks.map((rank, place) => rank.run(inputs[place]!))),
    destroy: () => ranks.map((rank) => rank.destroy()),
  };
}

test('programs whose devices meet often, and in several groups, are tried', () => {
  const met = tried.map(({ compiled }) => groups(compiled));
  expect(Math.min(...met.map(({ length }) => length))).toBeGreaterThanOrEqual(2);
  expect(met.filter((each) => new Set(each).size > 1).length).toBeGreaterThan(3);
});

test('every order of calls gives the same bits', async () => {
  for (const each of tried) {
    let scheduler: fc.Scheduler | undefined;
    const loaded = await loadRanks(each.compiled, (what) => scheduler!.schedule(Promise.resolve(), what));
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (given) => {
        scheduler = given;
        expect(await given.waitFor(digestOf(each, loaded))).toBe(each.wanted);
      }),
      { numRuns: 15, timeout, endOnFailure: true },
    );
    loaded.destroy();
  }
});

test('devices that call in other orders than each other are found', async () => {
  const failed = await Promise.all(
    tried.map(async (each) => {
      let calls = 0;
      // Some turns of the event loop, which do not depend on how busy the machine is, as times would.
      const later = async (): Promise<void> => {
        for (let turns = (calls++ * 7) % 5; turns > 0; turns--)
          await new Promise<void>((resolve) => setImmediate(resolve));
      };
      const loaded = await loadRanks(each.compiled, later, false);
      const found = await digestOf(each, loaded).catch(String);
      loaded.destroy();
      return found !== each.wanted;
    }),
  );
  expect(failed.filter(Boolean).length).toBeGreaterThan(2);
});
