/** Which lines of the source a kernel is from, as `.file` and `.loc` tell whoever reads or watches it. */
import type { TensorId } from '../../../compiler/graph/graph.ts';
import { allStatements } from '../../../compiler/tiles/tile-builder.ts';
import type { TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import type { Writer } from './writer.ts';

export interface SourceLines {
  /** Their names; `file` of a place counts them from 1. */
  readonly files: readonly string[];
  /** Where what a tensor holds is computed. */
  readonly placeOf: (tensor: TensorId) => PlaceInSource | undefined;
}

export interface PlaceInSource {
  readonly file: number;
  readonly line: number;
  readonly column: number;
}

export const unknownLines: SourceLines = { files: [], placeOf: () => undefined };

/** Says where the first of what the statements store is from, if that was not said last. */
export type Locate = (statements: readonly TileStatement[]) => void;

export function locating(writer: Writer, { placeOf }: SourceLines, { body }: TileProgram): Locate {
  let last = '';
  const locate: Locate = (statements) => {
    const stored = allStatements(statements).find((statement) => statement.kind === 'store');
    const place = stored && placeOf(stored.tensor);
    if (place === undefined) return;
    const text = `.loc ${place.file} ${place.line} ${place.column}`;
    if (text !== last) writer.effect(text);
    last = text;
  };
  locate(body);
  return locate;
}

/** The directives of a module that name the files. */
export function fileDirectives(files: readonly string[]): readonly string[] {
  // PTX is ASCII.
  return files.map((name, at) => `.file ${at + 1} "${name.replace(/[^ -~]|["\\]/g, '_')}"`);
}
