/** Whether a property holds on a case: each of its checks, in each way of running it that is asked for. */
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { asEntry } from '../../compiler/lower/property-entry.ts';
import { evaluateOnMesh } from '../../compiler/partition/evaluate-mesh.ts';
import { type Checked, type Instance, type Lowered, lower } from '../../driver/compile.ts';
import type { PropertyInfo, TypedProgram } from '../../dsl/types/typed.ts';
import { isUserError } from '../../runtime/errors.ts';
import type { Case } from './case.ts';
import type { DeviceRunner } from './device-runner.ts';
import { judgeCheck, judgeDevice, type Run, type Verdict } from './relations.ts';
import type { Way } from './report.ts';

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
  | { readonly kind: 'refused'; readonly why: string };

export interface Judge {
  readonly property: PropertyInfo;
  /** With the property as an entry. */
  readonly program: TypedProgram;
  readonly judge: (tried: Case, ways: readonly Way[]) => Promise<Judgement>;
}
