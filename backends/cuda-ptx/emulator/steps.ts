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
  | { readonly kind: 'warp'; readonly instruction: WarpInstruction };

/**
 * In the order of the text, which is the order in which diverged lanes take turns: those furthest behind go
 * first, so that they meet the others where paths join.
 * @throws PtxError at a branch to a label that is not there.
 */
export function stepsOf(statements: readonly Statement[]): readonly Step[] {
  const labels = new Map<string, number>();
  const targets = new Set<string>();
  for (const statement of statements)
    if (statement.kind === 'instruction' && statement.op === 'bra') targets.add(targetOf(statement));

  type Draft = Omit<Extract<Step, { kind: 'lanes' }>, 'end'> & { readonly by: Instruction | undefined };
  const drafts: (Draft | Extract<Step, { kind: 'warp' }>)[] = [];
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
    } else if (isControl(statement)) close(statement);
    else if (isWarpInstruction(statement)) {
      close(undefined);
      drafts.push({ kind: 'warp', instruction: statement });
    } else if (isLaneInstruction(statement)) body.push(statement);
  }
  close(undefined);
  // Who runs off the end leaves, as by `ret`.
  drafts.push({ kind: 'lanes', instructions: [], by: undefined, count: 0, last: undefined });

  return drafts.map((draft, place): Step => {
    if (draft.kind === 'warp') return draft;
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
    const target = labels.get(targetOf(by));
    if (target === undefined)
      throw new PtxError(`there is no label ${targetOf(by)} in this function`, by.place);
    return { ...step, end: { kind: 'branch', guard: by.guard, target } };
  });
}

function targetOf(branch: Instruction): string {
  const [target] = branch.operands;
  return target?.kind === 'name' ? target.name : '';
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
