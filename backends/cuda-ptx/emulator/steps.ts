/**
 * The control flow of a kernel: steps, each a run of instructions that every lane does for itself, or one
 * that the lanes of a warp do together.
 */
import { isOfUnit, type OpOfUnit } from '../instructions.ts';
import type { Guard, Instruction, Statement } from '../ptx.ts';
import { PtxError } from '../ptx-error.ts';

export type LaneInstruction = Instruction & { readonly op: OpOfUnit<'lane'> };
export type WarpInstruction = Instruction & { readonly op: OpOfUnit<'warp'> };

/** What lanes do at the end of a step; lanes for which a guard does not hold go on with the next step. */
export type StepEnd =
  | { readonly kind: 'next' }
  | { readonly kind: 'branch'; readonly guard: Guard | undefined; readonly target: number }
  | { readonly kind: 'exit'; readonly guard: Guard | undefined; readonly isTrap: boolean };

export type Step =
  | {
      readonly kind: 'lanes';
      readonly instructions: readonly LaneInstruction[];
      readonly end: StepEnd;
      /** With the instruction that ends it. */
      readonly count: number;
      /** Of the last instruction. */
      readonly last: Instruction | undefined;
    }
  | { readonly kind: 'warp'; readonly instruction: WarpInstruction }
  /** Of a function that is not in place of the call. */
  | { readonly kind: 'call'; readonly instruction: Instruction }
  /** From such a function: at its end by no instruction. */
  | { readonly kind: 'return'; readonly instruction: Instruction | undefined }
  /** To one of several steps, by a number. */
  | { readonly kind: 'switch'; readonly instruction: Instruction; readonly targets: readonly number[] };

/** What a step ends or begins with, of which there may be none. */
export function instructionAt(step: Step | undefined): Instruction | undefined {
  if (step === undefined) return undefined;
  return step.kind === 'lanes' ? step.last : step.instruction;
}

export interface Body {
  readonly statements: readonly Statement[];
  /** Whether `ret` leads back to a call; else it ends the thread. */
  readonly isFunction: boolean;
}

/**
 * Of several bodies, one after the other, and where each begins. Lanes that diverged take turns in the order
 * of steps: those furthest behind go first, so that they meet the others where paths join; so the entry is
 * the last, and who is in a function comes back before others go on.
 * @throws PtxError at a branch to a label that is not there.
 */
export function stepsOf(bodies: readonly Body[]): {
  readonly steps: readonly Step[];
  readonly starts: readonly number[];
} {
  const steps: Step[] = [];
  const starts: number[] = [];
  for (const body of bodies) {
    starts.push(steps.length);
    steps.push(...stepsOfBody(body, steps.length));
  }
  return { steps, starts };
}

/** @param first the number of its first step. */
function stepsOfBody({ statements, isFunction }: Body, first: number): readonly Step[] {
  const labels = new Map<string, number>();
  const targets = new Set<string>();
  for (const statement of statements)
    if (statement.kind === 'instruction' && (statement.op === 'bra' || statement.op === 'brx.idx'))
      for (const name of namesIn(statement)) targets.add(name);

  type Draft = Omit<Extract<Step, { kind: 'lanes' }>, 'end'> & { readonly by: Instruction | undefined };
  const drafts: (
    | Draft
    | Exclude<Step, { kind: 'lanes' | 'switch' }>
    | { kind: 'switch'; by: Instruction }
  )[] = [];
  let body: LaneInstruction[] = [];
  const close = (by: Instruction | undefined): void => {
    if (body.length > 0 || by !== undefined) {
      const count = body.length + (by === undefined ? 0 : 1);
      drafts.push({ kind: 'lanes', instructions: body, by, count, last: by ?? body.at(-1) });
    }
    body = [];
  };
  for (const statement of statements) {
    if (statement.kind === 'label') {
      // Where nobody jumps nothing needs to end.
      if (targets.has(statement.name)) close(undefined);
      labels.set(statement.name, drafts.length);
    } else if (statement.op === 'call') {
      close(undefined);
      drafts.push({ kind: 'call', instruction: statement });
    } else if (statement.op === 'brx.idx') {
      close(undefined);
      drafts.push({ kind: 'switch', by: statement });
    } else if (statement.op === 'ret' && isFunction) {
      close(undefined);
      drafts.push({ kind: 'return', instruction: statement });
    } else if (isControl(statement)) close(statement);
    else if (isWarpInstruction(statement)) {
      close(undefined);
      drafts.push({ kind: 'warp', instruction: statement });
    } else if (isLaneInstruction(statement)) body.push(statement);
  }
  close(undefined);
  // Who runs off the end leaves, as by `ret`.
  drafts.push(
    isFunction
      ? { kind: 'return', instruction: undefined }
      : { kind: 'lanes', instructions: [], by: undefined, count: 0, last: undefined },
  );

  const stepOf = (label: string, { place }: Instruction): number => {
    const target = labels.get(label);
    if (target === undefined) throw new PtxError(`there is no label ${label} in this function`, place);
    return first + target;
  };
  return drafts.map((draft, place): Step => {
    if (draft.kind === 'switch') {
      const { by } = draft;
      return { kind: 'switch', instruction: by, targets: namesIn(by).map((name) => stepOf(name, by)) };
    }
    if (draft.kind !== 'lanes') return draft;
    const { by, ...step } = draft;
    if (by === undefined) {
      const isLast = place === drafts.length - 1;
      return { ...step, end: isLast ? { kind: 'exit', guard: undefined, isTrap: false } : { kind: 'next' } };
    }
    if (by.op !== 'bra')
      return {
        ...step,
        end: { kind: 'exit', guard: by.guard, isTrap: by.op === 'trap' || by.op === 'brkpt' },
      };
    return { ...step, end: { kind: 'branch', guard: by.guard, target: stepOf(namesIn(by)[0] ?? '', by) } };
  });
}

function namesIn({ operands }: Instruction): readonly string[] {
  return operands.flatMap((operand) => (operand.kind === 'name' ? [operand.name] : []));
}

function isControl(instruction: Instruction): boolean {
  return isOfUnit(instruction.op, 'control');
}

function isWarpInstruction(instruction: Instruction): instruction is WarpInstruction {
  return isOfUnit(instruction.op, 'warp');
}

function isLaneInstruction(instruction: Instruction): instruction is LaneInstruction {
  return isOfUnit(instruction.op, 'lane');
}
