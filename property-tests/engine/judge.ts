/** Whether a property holds on a case: each of its checks, in each way of running it that is asked for. */
import { primePairs } from '../../compiler/graph/finite-field.ts';
import { float64 } from '../../compiler/graph/float64.ts';
import { asEntry } from '../../compiler/lower/property-entry.ts';
import type { Checked } from '../../driver/check.ts';
import { type Instance, type Lowered, lower } from '../../driver/lower.ts';
import { type Size, sizeParameters } from '../../dsl/types/size.ts';
import type { PropertyCheck, PropertyInfo, TypedProgram } from '../../dsl/types/typed.ts';
import { dimsIn } from '../../dsl/types/types.ts';
import { isUserError, type UserErrorCode } from '../../runtime/errors.ts';
import type { Case } from './case.ts';
import type { Runners } from './kernel-runner.ts';
import { placedAxes } from './placed-axes.ts';
import {
  type Algebras,
  algebrasFor,
  judge,
  judgeTruth,
  judgeTruthOf,
  partsOf,
  type Sides,
  sameBits,
  type Verdict,
  withinBound,
} from './relations.ts';
import { type Target, targets, type Way } from './report.ts';
import { inputsOver, type Run, remembered, runOnMesh, runOnReference, type Values } from './runs.ts';

export type Judgement =
  /** In all ways that were tried. */
  | { readonly kind: 'holds'; readonly ways: readonly Way[] }
  /** `check`: a position among the property's; undefined where the program did not run to its end. */
  | {
      readonly kind: 'fails' | 'undecided';
      readonly check: number | undefined;
      readonly way: Way;
      readonly why: string;
    }
  /** The program cannot be run on the case, and says so: on a mesh that it does not fit. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Its values are not as the property is `given` them: it says nothing of the case. */
  | { readonly kind: 'excluded' };

export interface Judge {
  readonly property: PropertyInfo;
  /** With the property as an entry. */
  readonly program: TypedProgram;
  readonly judge: (tried: Case, ways: readonly Way[]) => Promise<Judgement>;
}

/** What is no limit of a machine: kernels are not as they should be. */
const areFaults: ReadonlySet<UserErrorCode> = new Set(['kernel-fault', 'device-refused', 'replicas-differ']);

/** Ways are tried in this order. */
const everyWay: readonly Way[] = targets.flatMap((target) => [
  { target, onMesh: false },
  { target, onMesh: true },
]);

/** The ways of running a case on the targets; what has a mesh runs on one device too. */
export function waysOf({ mesh }: Case, on: readonly Target[]): readonly Way[] {
  return everyWay.filter(({ target, onMesh }) => on.includes(target) && (!onMesh || mesh !== undefined));
}

/** @param runners of the targets that ways are on */
export function judgeOf(checked: Checked, property: PropertyInfo, runners: Runners): Judge {
  const program = asEntry(checked.program, withoutFactsOfAxes(property, checked.program.axes));
  const prepare = rememberedPrograms({ ...checked, program }, property);
  const needsMesh = sizesOfParameters(property).some((name) => checked.program.axes.includes(name));
  // The pairs of primes take turns.
  let turn = 0;
  return {
    property,
    program,
    judge: async (tried, ways) => {
      let undecided: Judgement | undefined;
      const settings = settingsOf(tried);
      if (!isGiven(tried, settings)) return { kind: 'excluded' };
      for (const way of ways) {
        if (needsMesh && !way.onMesh && tried.mesh !== undefined) continue;
        const found = await judgeIn(way, tried, settings);
        if (found?.kind === 'fails' || found?.kind === 'refused') return found;
        undecided ??= found;
      }
      return undecided ?? { kind: 'holds', ways };
    },
  };

  /** Whether all that the property is given is so, on the numbers themselves. */
  function isGiven({ values }: Case, settingOf: SettingOf): boolean {
    if (property.conditions.length === 0) return true;
    const setting = settingOf(false);
    // What refuses the case or stops on it does so again, where it is reported.
    if (setting.kind === 'refused') return true;
    try {
      const outputs = setting.alone(float64, values);
      return property.conditions.every((place) => judgeTruthOf(outputs, `out.${place}`).kind === 'holds');
    } catch {
      return true;
    }
  }

  /** Undefined where all checks hold. */
  async function judgeIn(way: Way, tried: Case, settingOf: SettingOf): Promise<Judgement | undefined> {
    try {
      const setting = settingOf(way.onMesh);
      if (setting.kind === 'refused') return setting;
      if (way.target === 'reference')
        return worst(
          property.checks.map((check) => judgeOnReference(check, setting)),
          property.checks,
          way,
        );
      const { key, lowered, instance } = setting.program;
      const given = await runners[way.target]!.run(key, lowered, instance, tried.values);
      return worst(
        property.checks.map((check) => judgeOnDevice(check, given, setting)),
        property.checks,
        way,
      );
    } catch (error) {
      // A limit of this machine says nothing of the property.
      if (isUserError(error) && !areFaults.has(error.code)) return { kind: 'refused', why: error.message };
      const why = `it stops: ${error instanceof Error ? error.message : String(error)}`;
      return { kind: 'fails', check: undefined, way, why };
    }
  }

  /** What is computed for one way of running a case serves the others too. */
  function settingsOf(tried: Case): SettingOf {
    const algebras = algebrasFor(turn++ % primePairs.length);
    let alone: Run | undefined;
    let onMesh: Run | undefined;
    return (isOnMesh) => {
      const single = prepare(needsMesh ? tried : { ...tried, mesh: undefined });
      const program = isOnMesh ? prepare(tried) : single;
      if (single.kind === 'refused') return single;
      if (program.kind === 'refused') return program;
      const { device: deviceProgram } = program.lowered;
      if (deviceProgram !== undefined) onMesh ??= remembered(runOnMesh(deviceProgram));
      alone ??=
        single.lowered.device === undefined ? remembered(runOnReference(single.lowered.graph)) : onMesh!;
      const own = isOnMesh ? onMesh! : alone;
      return { kind: 'setting', program, alone, own, inputs: tried.values, algebras };
    };
  }
}

/** What is stated of the mesh chooses among meshes: it is no reason not to run a case on one device too. */
function withoutFactsOfAxes(property: PropertyInfo, axes: readonly string[]): PropertyInfo {
  const { facts } = property.function;
  const isOfMesh = (size: Size): boolean => axes.some((axis) => sizeParameters(size).has(axis));
  const kept = facts.filter(({ left, right }) => !isOfMesh(left) && !isOfMesh(right));
  return { ...property, function: { ...property.function, facts: kept } };
}

type SettingOf = (onMesh: boolean) => Setting | Extract<Judgement, { kind: 'refused' }>;

interface Setting {
  readonly kind: 'setting';
  readonly program: Extract<Prepared, { kind: 'prepared' }>;
  readonly alone: Run;
  /** On the mesh where that is asked for, else the same. */
  readonly own: Run;
  readonly inputs: Values<number>;
  readonly algebras: Algebras;
}

/** On a mesh each side is compared with the other one on one device, so that all four are the same. */
function judgeOnReference(check: PropertyCheck, { alone, own, inputs, algebras }: Setting): Verdict {
  if (check.relation === 'holds') return judgeTruth(own, `out.${check.left}`, inputs, algebras);
  const sides = sidesOf(check);
  const first = judge(check.relation, { left: own, right: alone }, sides, inputs, algebras);
  if (own === alone || first.kind === 'fails') return first;
  const second = judge(check.relation, { left: alone, right: own }, sides, inputs, algebras);
  return second.kind === 'holds' ? first : second;
}

function sidesOf({ left, right }: Extract<PropertyCheck, { readonly right: number }>): Sides {
  return { left: `out.${left}`, right: `out.${right}` };
}

/** Names in the shapes of what is quantified: with an axis among them, the values are of one mesh only. */
function sizesOfParameters({ function: { parameters } }: PropertyInfo): readonly string[] {
  return parameters.flatMap(({ type }) => dimsIn(type)).flatMap(({ size }) => [...sizeParameters(size)]);
}

/** What a device gives is what the reference gives, up to rounding; with `==` the sides agree bit by bit. */
function judgeOnDevice(
  check: PropertyCheck,
  given: Values<number>,
  { alone, inputs, algebras: { bound } }: Setting,
): Verdict {
  switch (check.relation) {
    case 'holds':
      return judgeTruthOf(given, `out.${check.left}`);
    case '==':
      return sameBits(given, sidesOf(check));
    case '===':
    case '~=': {
      const reference = alone(bound, inputsOver(bound, inputs));
      return withinBound(partsOfSides(reference, sidesOf(check)), bound.notes, given);
    }
  }
}

function partsOfSides<V>(outputs: Values<V>, { left, right }: Sides): Values<V> {
  return new Map([...partsOf(outputs, left), ...partsOf(outputs, right)]);
}

/** Of the checks in order. */
function worst(
  verdicts: readonly Verdict[],
  checks: readonly PropertyCheck[],
  way: Way,
): Judgement | undefined {
  for (const kind of ['fails', 'undecided'] as const) {
    const check = verdicts.findIndex((verdict) => verdict.kind === kind);
    const found = verdicts[check];
    if (found !== undefined && found.kind !== 'holds')
      return {
        kind,
        check,
        way,
        why: found.kind === 'fails' ? failureText(found, checks[check]!) : found.why,
      };
  }
  return undefined;
}

/** `out[3, 0] is 0.5 on the left and 0.25 on the right: they are not the same number` */
function failureText(
  { at, left, right, allowed, why }: Verdict & { kind: 'fails' },
  { relation }: PropertyCheck,
): string {
  const { path, index } = at;
  const part = path.split('.').slice(2).join('.');
  const place = `${part === '' ? '' : `.${part}`}${index.length === 0 ? '' : `[${index.join(', ')}]`}`;
  const limit = allowed === undefined ? '' : ` (${allowed.toPrecision(2)} apart at most)`;
  const where = place === '' ? '' : `at ${place} `;
  if (relation === 'holds') return `${where}${why}`;
  return `${where}the left side is ${left} and the right side ${right}: ${why}${limit}`;
}

// ── programs ───────────────────────────────────────────────────────────────────────────────────────────────

type Prepared =
  | {
      readonly kind: 'prepared';
      /** The same for the same program. */
      readonly key: string;
      readonly instance: Instance;
      readonly lowered: Lowered;
    }
  | { readonly kind: 'refused'; readonly why: string };

/** Of sizes and meshes that come again while values change. */
const mostRemembered = 128;

/** How many properties were prepared: their programs are told apart by it. */
let properties = 0;

function rememberedPrograms(checked: Checked, property: PropertyInfo): (tried: Case) => Prepared {
  const { name } = property;
  const known = new Map<string, Prepared>();
  const number = properties++;
  const placed = placedAxes(checked.program, property);
  return (tried) => {
    const { sizes, mesh } = tried;
    const devices = mesh?.axes.map((axis) => `${axis.name}=${axis.size}`).join();
    const own = [...sizes].filter(([size]) => mesh !== undefined || !checked.program.axes.includes(size));
    const key = `${number} ${own.map(([size, value]) => `${size}=${value}`).join()} ${devices}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    if (known.size >= mostRemembered) known.clear();
    const found = prepared(key, new Map(own), tried);
    known.set(key, found);
    return found;
  };

  function prepared(key: string, sizes: ReadonlyMap<string, number>, { mesh }: Case): Prepared {
    // Where nothing is placed over its axes, that is the partitioner's to do.
    const auto = mesh?.axes.every(({ name }) => !placed.has(name)) ?? false;
    const instance: Instance = { entry: name, sizes, inputDtypes: new Map(), ...(mesh && { mesh, auto }) };
    const lowered = lower(checked, instance);
    if (lowered.kind === 'lowered') return { kind: 'prepared', key, instance, lowered };
    return { kind: 'refused', why: lowered.diagnostics[0]!.message };
  }
}
