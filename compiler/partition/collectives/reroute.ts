/**
 * Plans the collectives between a tensor and its readers anew. Each reader asks for the tensor as it uses
 * it: an all-reduce of which only blocks are read becomes a reduce-scatter, an all-gather that is cut
 * otherwise afterwards an all-to-all, one that is cut back nothing, and a chain of reshardings one plan.
 * What is written stays unless less is sent.
 */
import { type AxisList, type Placement, samePlacement } from '../../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { CollectiveNode, Graph, LoopId, LoopNode, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { allNodes } from '../../graph/uses.ts';
import { deadCode } from '../../optimize/dead-code.ts';
import type { PlacementChange } from '../change.ts';
import { collectiveSteps } from '../collective-steps.ts';
import type { PlacedGraph } from '../place.ts';
import { placementKey } from '../placement-graph.ts';
import { type ReshardRequest, reshardPlanner } from '../reshard.ts';
import { placementAfterStep } from '../reshard-steps.ts';
import {
  type Draft,
  draftOf,
  type Level,
  mapLevels,
  mapOutputs,
  mapReads,
  newTensor,
  type ReadSlot,
  takenAs,
} from './mesh-reads.ts';
import type { CollectiveOptions } from './options.ts';
import { isLess, nothingSent, type Sent, sentInSteps, together } from './placed-traffic.ts';

/** What nothing reads is left out first: a route that serves it too may send more than others need. */
export function reroute(placed: PlacedGraph, { reassociates }: CollectiveOptions): Graph {
  const graph = deadCode(placed.graph);
  const draft = draftOf({ ...placed, graph });
  const plan = reshardPlanner(placed.mesh);
  const routed = mapLevels(graph, (level) => rerouteLevel(level, { draft, plan, reassociates }));
  return holdStates(routed, collectivesInLoops(graph), draft);
}

interface Router {
  readonly draft: Draft;
  readonly plan: ReturnType<typeof reshardPlanner>;
  readonly reassociates: boolean;
}

/** Collectives one after another, from a tensor that none of them makes. */
interface Tree {
  readonly root: TensorId;
  readonly members: readonly CollectiveNode[];
}

/** What readers ask for. */
interface Leaf {
  readonly tensor: TensorId;
  readonly placement: Placement;
}

function rerouteLevel(level: Level, router: Router): Graph {
  return treesOf(level.graph).reduce(
    (graph, tree) => rerouteTree({ ...level, graph }, tree, router) ?? graph,
    level.graph,
  );
}

/** Broadcasts stay: what they are of is not said by placements. */
function treesOf({ nodes }: Graph): readonly Tree[] {
  const roots = new Map<TensorId, TensorId>();
  const trees = new Map<TensorId, CollectiveNode[]>();
  for (const node of nodes) {
    if (node.kind !== 'collective' || node.change.kind === 'broadcast') continue;
    const root = roots.get(node.source) ?? node.source;
    roots.set(node.result.id, root);
    trees.set(root, [...(trees.get(root) ?? []), node]);
  }
  return [...trees].map(([root, members]) => ({ root, members }));
}

function rerouteTree(level: Level, tree: Tree, router: Router): Graph | undefined {
  const { draft } = router;
  const made = new Set(tree.members.map(({ result }) => result.id));
  const isMember = (node: Node) => node.kind === 'collective' && made.has(node.result.id);
  const isLeaf = (tensor: TensorId, slot: ReadSlot) =>
    made.has(tensor) && !(slot.kind === 'node' && isMember(slot.node));
  const leaves = new Map<string, Leaf>();
  readEverywhere(level, (tensor, slot) => {
    if (!isLeaf(tensor, slot)) return tensor;
    const placement = takenAs(tensor, slot, draft);
    leaves.set(leafKey(tensor, placement), { tensor, placement });
    return tensor;
  });
  const route = bestRoute(tree, [...leaves.values()], router);
  if (route === undefined) return undefined;

  const built = nodesOf(tree, route, router);
  const given = new Set<TensorId>([tree.root]);
  const copies: Node[] = [];
  const renamed = readEverywhere(level, (tensor, slot) => {
    if (!isLeaf(tensor, slot)) return tensor;
    const found = built.ends.get(placementKey(takenAs(tensor, slot, draft)))!;
    // Outputs of a program are different results of nodes.
    if (slot.kind !== 'result') return found.id;
    if (!given.has(found.id)) {
      given.add(found.id);
      return found.id;
    }
    const copy = declared(found, draft.placements.get(found.id)!, draft);
    copies.push(copy);
    return copy.result.id;
  });
  const first = level.graph.nodes.findIndex(isMember);
  const nodes = renamed.nodes.flatMap((node, position): readonly Node[] => {
    const own = isMember(node) ? [] : [node];
    return position === first ? [...built.nodes, ...own] : own;
  });
  return { ...renamed, nodes: [...nodes, ...copies] };
}

function readEverywhere(
  { graph, loops, outputSlot }: Level,
  rename: (tensor: TensorId, slot: ReadSlot) => TensorId,
): Graph {
  return {
    ...graph,
    nodes: mapReads(graph.nodes, loops, rename),
    outputs: mapOutputs(graph, outputSlot, rename),
  };
}

function leafKey(tensor: TensorId, placement: Placement): string {
  return `${tensor} ${placementKey(placement)}`;
}

// ── the choice ─────────────────────────────────────────────────────────────────────────────────────────────

/** A placement on the way, and the steps to it from the one before. */
interface Leg {
  readonly from: Placement;
  readonly to: Placement;
  readonly steps: readonly PlacementChange[];
  readonly sent: Sent;
}

/** From the root to a hub, and from either of them to what readers ask for. */
interface Route {
  readonly legs: readonly Leg[];
  readonly sent: Sent;
}

/** undefined: what is written is best. */
function bestRoute(tree: Tree, leaves: readonly Leaf[], router: Router): Route | undefined {
  const { draft } = router;
  const written = together(tree.members.map((node) => sentInSteps(...writtenSteps(node, draft))));
  if (written.total === 0) return undefined;
  const start = draft.placements.get(tree.root)!;
  const wanted = distinct(leaves.map(({ placement }) => placement));
  const hubs = distinct([...wanted, ...tree.members.map(({ result }) => draft.placements.get(result.id)!)]);
  const allowed = new Map(leaves.map((leaf) => [leaf, reductionsTo(leaf.tensor, tree, draft)]));
  let best: Route | undefined;
  for (const hub of [undefined, ...hubs]) {
    const route = routeBy(hub, start, wanted, draft.tensors.get(tree.root)!, router);
    if (route === undefined || !isLess(route.sent, best?.sent ?? written)) continue;
    const keepsOrder = leaves.every(
      (leaf) => router.reassociates || reductionsOf(legsTo(leaf.placement, route)) === allowed.get(leaf),
    );
    if (keepsOrder) best = route;
  }
  return best;
}

function routeBy(
  hub: Placement | undefined,
  start: Placement,
  wanted: readonly Placement[],
  tensor: Tensor,
  router: Router,
): Route | undefined {
  const toHub = hub && legBetween(start, hub, tensor, router);
  if (hub !== undefined && toHub === undefined) return undefined;
  const legs: Leg[] = [];
  for (const placement of wanted) {
    if (hub !== undefined && samePlacement(hub, placement)) continue;
    const direct = legBetween(start, placement, tensor, router);
    const further = hub && legBetween(hub, placement, tensor, router);
    const leg =
      further && (direct === undefined || further.sent.total < direct.sent.total) ? further : direct;
    if (leg === undefined) return undefined;
    legs.push(leg);
  }
  const all = toHub === undefined ? legs : [toHub, ...legs];
  return { legs: all, sent: together(all.map(({ sent }) => sent)) };
}

function legBetween(
  from: Placement,
  to: Placement,
  tensor: Tensor,
  { plan, draft }: Router,
): Leg | undefined {
  if (samePlacement(from, to)) return { from, to, steps: [], sent: nothingSent };
  const elementBytes = dtypeFacts[tensor.dtype].bits / 8;
  const request: Omit<ReshardRequest, 'mesh' | 'links'> = { from, to, shape: tensor.shape, elementBytes };
  const found = plan(request);
  if ('fault' in found || found.steps.some(({ kind }) => kind === 'permute')) return undefined;
  return { from, to, steps: found.steps, sent: sentInSteps(found.steps, from, tensor, draft.placed.mesh) };
}

function legsTo(placement: Placement, { legs }: Route): readonly Leg[] {
  const last = legs.find(({ to }) => samePlacement(to, placement));
  const before = last && legs.find((leg) => leg !== last && samePlacement(leg.to, last.from));
  return [before ?? [], last ?? []].flat();
}

function distinct(placements: readonly Placement[]): readonly Placement[] {
  return [...new Map(placements.map((placement) => [placementKey(placement), placement])).values()];
}

// ── what is written ────────────────────────────────────────────────────────────────────────────────────────

function writtenSteps(
  { source, result, change }: CollectiveNode,
  { placed: { mesh }, placements, tensors }: Draft,
): Parameters<typeof sentInSteps> {
  const found = placements.get(source)!;
  const { from, steps } = collectiveSteps(change, found, placements.get(result.id)!, result, mesh);
  return [steps, from, tensors.get(source)!, mesh];
}

/** The order in which sums are taken: over which axes, one step after another. */
function reductionsTo(tensor: TensorId, { members }: Tree, draft: Draft): string {
  const path: PlacementChange[] = [];
  for (let at: TensorId | undefined = tensor; at !== undefined; ) {
    const node: CollectiveNode | undefined = members.find(({ result }) => result.id === at);
    if (node !== undefined) path.unshift(...writtenSteps(node, draft)[0]);
    at = node?.source;
  }
  return reductionsIn(path);
}

function reductionsOf(legs: readonly Leg[]): string {
  return reductionsIn(legs.flatMap(({ steps }) => steps));
}

function reductionsIn(steps: readonly PlacementChange[]): string {
  return steps
    .flatMap((step): readonly AxisList[] =>
      step.kind === 'all_reduce' || step.kind === 'reduce_scatter' ? [step.axes] : [],
    )
    .map((axes) => axes.join(' '))
    .join(', ');
}

// ── what is put in its place ───────────────────────────────────────────────────────────────────────────────

interface Built {
  readonly nodes: readonly Node[];
  /** The tensor to read where a placement is asked for. */
  readonly ends: ReadonlyMap<string, Tensor>;
}

function nodesOf({ root, members }: Tree, { legs }: Route, { draft }: Router): Built {
  const start = draft.placements.get(root)!;
  const ends = new Map([[placementKey(start), draft.tensors.get(root)!]]);
  const nodes: Node[] = [];
  for (const { from, to, steps } of legs) {
    let current = ends.get(placementKey(from))!;
    for (const step of steps) {
      const placement = placementAfterStep(draft.placements.get(current.id)!, step, draft.placed.mesh);
      const like = { ...draft.tensors.get(root)!, name: members[0]!.result.name };
      const result = newTensor(draft, like, placement);
      nodes.push({ kind: 'collective', source: current.id, result, change: written(step, placement) });
      current = result;
    }
    ends.set(placementKey(to), current);
  }
  return { nodes, ends };
}

/** As a program says it. */
function written(step: PlacementChange, after: Placement): CollectiveNode['change'] {
  switch (step.kind) {
    case 'slice':
    case 'mask':
    case 'permute':
      return { kind: 'declare', first: 0, ...after };
    default:
      return step;
  }
}

function declared(source: Tensor, placement: Placement, draft: Draft): CollectiveNode {
  const result = newTensor(draft, source, placement);
  return {
    kind: 'collective',
    source: source.id,
    result,
    change: { kind: 'declare', first: 0, ...placement },
  };
}

// ── states of loops ────────────────────────────────────────────────────────────────────────────────────────

/** By loop: which collectives its body has. */
type LoopCollectives = ReadonlyMap<LoopId, string>;

function collectivesInLoops(graph: Graph): LoopCollectives {
  const loops = allNodes(graph).filter((node): node is LoopNode => node.kind === 'loop');
  return new Map(loops.map(({ loop, body }) => [loop, collectivesIn(body)]));
}

function collectivesIn(graph: Graph): string {
  return allNodes(graph)
    .flatMap((node) => (node.kind === 'collective' ? [node.result.id] : []))
    .join(' ');
}

/**
 * That a state lives as it does may have been said by a collective in the body alone, which is gone: then
 * what the loop begins with says it.
 */
function holdStates(graph: Graph, before: LoopCollectives, draft: Draft): Graph {
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (node.kind !== 'loop') return [node];
    const body = holdStates(node.body, before, draft);
    if (collectivesIn(node.body) === before.get(node.loop)) return [{ ...node, body }];
    const held = node.initial.map((tensor, position) => {
      const state = draft.placements.get(body.inputs[position]!.tensor.id)!;
      const lives = draft.placements.get(tensor)!;
      return samePlacement(lives, state) ? undefined : declared(draft.tensors.get(tensor)!, state, draft);
    });
    const initial = node.initial.map((tensor, position) => held[position]?.result.id ?? tensor);
    return [...held.filter((each) => each !== undefined), { ...node, initial, body }];
  });
  return { ...graph, nodes };
}
