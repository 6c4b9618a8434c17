/** What checking an expression depends on. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Expression } from '../syntax/tree.ts';
import type { Facts } from './facts.ts';
import type { FactScope } from './obligations.ts';
import type { Report } from './report.ts';
import type { BodySignature, ModuleScope, Scope } from './scope.ts';
import type { Size } from './size.ts';
import type { IndexId, LocalId, Type, TypedExpression } from './typed.ts';
import { errorType } from './types.ts';

/**
 * `expected` is what the surroundings ask for: literals take its dtype, indices their ranges from its dims.
 * It is a wish and not checked; `convert` checks. Sizes in it that are not known yet say nothing (`isKnown`).
 */
export type Infer = (context: Context, expression: Expression, expected: Type | undefined) => TypedExpression;

export interface Context {
  readonly module: ModuleScope;
  readonly signature: BodySignature;
  readonly scope: Scope;
  readonly facts: Facts;
  readonly report: Report;
  /** Affine forms (see `affine.ts`) that the enclosing conditions make at least 0. */
  readonly guards: readonly Size[];
  /**
   * Checking only to learn the ranges of indices: nothing is reported, and nothing tried within the trial.
   */
  readonly trial: boolean;
  readonly insidePerDevice: boolean;
  readonly body: BodyState;
  readonly text: (span: Span) => string;
  readonly infer: Infer;
}

/** What is gathered while one function or property is checked. */
export interface BodyState {
  nextLocal: LocalId;
  nextIndex: IndexId;
  /** Ranges of the indices in affine forms, by the name that stands for them there. */
  readonly indexRanges: Map<string, Size>;
  /** Affine forms of integer lets. */
  readonly affineLocals: Map<LocalId, Size>;
  /** Functions called, with the place of the first call. */
  readonly calls: Map<string, Span>;
}

export function newBody(): BodyState {
  return { nextLocal: 0, nextIndex: 0, indexRanges: new Map(), affineLocals: new Map(), calls: new Map() };
}

export function newLocal(context: Context): LocalId {
  return context.body.nextLocal++;
}

export function newIndex(context: Context): IndexId {
  return context.body.nextIndex++;
}

/** In place of what was reported. */
export function errorExpression(span: Span): TypedExpression {
  return { kind: 'error', type: errorType, span };
}

export function factScope(context: Context): FactScope {
  return { facts: context.facts, report: context.report, declaration: context.signature.declaration };
}
