/**
 * A counterexample as a file: the program as source, and before it, in comments, what does not hold of it, on
 * which mesh, with which inputs. Where on the mesh everything lives the source says itself.
 */
import type { TensorValue } from '../../compiler/graph/algebra.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { entryPlacements } from '../../compiler/lower/entry-placements.ts';
import { dividing, padding } from '../../compiler/partition/random-partition.ts';
import { raiseGraph } from '../../compiler/raise/raise-graph.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { type AnyRelation, isMeshRelation } from './relations.ts';
import { type MeshSubject, meshSubject, type Subject } from './subject.ts';
import { checkText, lowerChecked } from './through-source.ts';

const cutRules = { dividing, padding } as const;
type RuleName = keyof typeof cutRules;

export interface Counterexample {
  readonly relation: AnyRelation;
  readonly subject: Subject | MeshSubject;
}

export function isOnMesh(subject: Subject | MeshSubject): subject is MeshSubject {
  return 'cut' in subject;
}

/** @param found what was wrong when it was found */
export function counterexampleText({ relation, subject }: Counterexample, found: string): string {
  const { graph, inputs } = subject.program;
  const onMesh = isOnMesh(subject) ? subject : undefined;
  const raised = raiseGraph(onMesh?.cut.written ?? graph, onMesh && { placed: placedIn(onMesh) });
  const values = graph.inputs.map(({ path, tensor }) => {
    return `input ${raised.inputs.get(path)}: ${numbersText(inputs.get(tensor.id)!)}`;
  });
  const rule = onMesh?.cut.rule === padding ? 'padding' : 'dividing';
  const header = [
    `relation: ${relation}`,
    `found: ${found.split('\n')[0]}`,
    `seed: ${subject.seed}`,
    ...(onMesh ? [`mesh: ${meshText(onMesh.cut.options.mesh)}`, `blocks: ${rule}`] : []),
    ...values,
  ];
  return `${header.map((line) => `// ${line}`.trimEnd()).join('\n')}\n\n${raised.text}`;
}

function placedIn({ cut, partitioned }: MeshSubject) {
  const { mesh, outputs } = cut.options;
  return { mesh, placements: partitioned.placed.placements, outputs };
}

function meshText({ axes }: Mesh): string {
  return axes.map(({ name, size }) => `${name}=${size}`).join(' ');
}

function numbersText({ data }: TensorValue<number>): string {
  const numbers = Array.from({ length: data.length }, (_, at) => data[at] as number);
  return numbers.map((number) => (Object.is(number, -0) ? '-0' : `${number}`)).join(' ');
}

/** @throws where the file is not one of these, or its source has errors */
export function readCounterexample(text: string, path: string): Counterexample {
  const lines = text.split('\n').flatMap((line) => /^\/\/ ([^:]+): ?(.*)$/.exec(line) ?? []);
  const entries = lines.flatMap((_, at) => (at % 3 === 0 ? [[lines[at + 1]!, lines[at + 2]!] as const] : []));
  const header = new Map(entries);
  const required = (name: string): string => {
    const value = header.get(name);
    if (value === undefined) throw new Error(`${path} has no ${name}`);
    return value;
  };
  const { program: checked, errors: all } = checkText(text, path);
  // Where things live the rule for placements says, which is not as strict as the checker.
  const errors = all.filter(({ code }) => !/^E05/.test(code));
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.code} ${errors[0]!.message}`);
  const [entry] = [...checked.entries.keys()];
  if (entry === undefined) throw new Error(`${path} has no entry`);
  // Blocks are of a mesh; the whole program is of none.
  const graph = lowerChecked(checked, entry);
  const inputs = inputsOf(graph, required);
  const subject: Subject = { program: { graph, inputs }, seed: Number(required('seed')) };
  const relation = required('relation') as AnyRelation;
  if (!isMeshRelation(relation)) return { relation, subject };
  const mesh = meshOf(required('mesh'));
  const options = { mesh, ...entryPlacements(checked, entry) };
  const rule = cutRules[required('blocks') as RuleName];
  return { relation, subject: meshSubject(subject, { written: graph, options, rule }) };
}

function inputsOf(graph: Graph, required: (name: string) => string) {
  return new Map(
    graph.inputs.map(({ path, tensor: { id, dtype, shape } }) => {
      const numbers = required(`input ${path}`).split(' ').filter(Boolean).map(Number);
      return [id, { dtype, shape, data: Float64Array.from(numbers) }] as const;
    }),
  );
}

function meshOf(text: string): Mesh {
  const axes = text.split(' ').map((axis) => {
    const [name, size] = axis.split('=');
    return { name: name!, size: Number(size) };
  });
  return { axes };
}
