/** What keeps a program from being partitioned, as data: diagnostics are made of it where the source is. */
import type { Node, TensorId } from '../graph/graph.ts';

export type PlacementRule =
  /** A placement names each axis once, and cuts dimensions into equal blocks. */
  | 'placements are well-formed'
  /** Of the lists of axes on one iterator, each is a prefix of the longest. */
  | 'lists agree'
  /** Lists of different iterators are disjoint, and disjoint from what is pending. */
  | 'axes are disjoint'
  /** Softmax, sort, top-k, products and positions need all of what they run over. */
  | 'variables are whole'
  /** What is pending is used linearly, or monotonically. */
  | 'pending values are used linearly'
  /** What is looked up by, and the condition of a choice, are final. */
  | 'subscripts are final'
  /** A collective fits the placement of what it moves. */
  | 'collectives fit'
  /** The state of a loop lives in the same way before and after a step. */
  | 'states stay where they are'
  /** What is given back becomes what was declared without moving data. */
  | 'outputs are as declared';

export interface PlacementFault {
  readonly rule: PlacementRule;
  /** Where: a node, an input or an output. */
  readonly node: Node | undefined;
  readonly tensor: TensorId | undefined;
  /** The axes that it is about, major first. */
  readonly axes: readonly string[];
  readonly message: string;
}

/** What a rule says; the node is added where the rule is applied. */
export type Finding = Pick<PlacementFault, 'rule' | 'axes' | 'message'>;

/** Thrown by a rule and caught where it is applied to a node: never leaves this folder. */
export class Misplaced extends Error {
  readonly finding: Finding;

  constructor(rule: PlacementRule, axes: readonly string[], message: string) {
    super(message);
    this.finding = { rule, axes, message };
  }
}
