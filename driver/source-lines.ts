/** Where in the source the tensors that kernels write come from. */
import { basename } from 'node:path';
import type { PlaceInSource, SourceLines } from '../backends/cuda-ptx/emit/source-lines.ts';
import { type Graph, results, type TensorId } from '../compiler/graph/graph.ts';
import type { SourceOfTensors } from '../compiler/lower/origin.ts';
import { lineTable, positionAt } from '../dsl/diagnostics/source-position.ts';

interface Told {
  /** As written, and as kernels compute it: what is in both, of one number and name, is the same tensor. */
  readonly graph?: Graph;
  readonly optimized: Graph;
  readonly source?: SourceOfTensors;
  readonly sources?: ReadonlyMap<string, string>;
}

/** By the innermost expression that makes a tensor, in files without their folders, in whichever they are. */
export function sourceLines({ graph, optimized, source, sources = new Map() }: Told): SourceLines {
  const paths = [...sources.keys()].sort((one, other) => compareNames(basename(one), basename(other)));
  const tables = new Map(paths.map((path) => [path, lineTable(sources.get(path)!)]));
  const written = graph === undefined ? new Map<TensorId, string>() : namesIn(graph);
  const kept = namesIn(optimized);
  return {
    files: paths.map((path) => basename(path)),
    placeOf: (tensor): PlaceInSource | undefined => {
      const origin = source?.origins.get(tensor);
      const table = origin && tables.get(origin.span.file);
      if (table === undefined || written.get(tensor) !== kept.get(tensor)) return undefined;
      return { file: paths.indexOf(origin!.span.file) + 1, ...positionAt(table, origin!.span.start) };
    },
  };
}

/** Of those of one name, the one that was read first stays the first. */
function compareNames(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function namesIn({ nodes }: Graph): Map<TensorId, string> {
  const names = new Map<TensorId, string>();
  for (const node of nodes) {
    for (const { id, name } of results(node)) names.set(id, name);
    if (node.kind === 'loop') for (const [id, name] of namesIn(node.body)) names.set(id, name);
  }
  return names;
}
