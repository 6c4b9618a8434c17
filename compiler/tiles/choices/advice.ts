/** What is chosen instead of the first choice: what measuring found, or what a test draws. */
import type { Tensor, TensorId } from '../../graph/graph.ts';
import type { Choice } from './choice.ts';
import type { Problem } from './problem.ts';
import { problemKey } from './problem-key.ts';

/** Undefined where nothing is known of the problem. What a device cannot run is passed over. */
export type Advice = (problem: Problem, tensors: (id: TensorId) => Tensor) => Choice | undefined;

/** @param choices by problem, as `problemKey` says it */
export function adviceOf(choices: ReadonlyMap<string, Choice>): Advice | undefined {
  if (choices.size === 0) return undefined;
  return (problem, tensors) => choices.get(problemKey(problem, tensors));
}
