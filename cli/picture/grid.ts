/** A picture of a mesh or of a tensor on it as a table of blocks, before it is text or SVG. */
import { bytesText, typeText } from '../../compiler/plan/storage-bytes.ts';
import type { DimPicture, IndexRange, MeshPicture, TensorPicture } from '../../driver/mesh-picture.ts';
import { deviceCount, type Mesh, showList, showPending } from '../../dsl/placement/placement.ts';
import { counted } from '../table.ts';

export interface Grid {
  readonly title: string;
  /** What the table does not say, in lines. */
  readonly notes: readonly string[];
  /** Of the rows and columns; empty where there is one of them that needs no name. */
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** By row and column. */
  readonly cells: readonly (readonly Cell[])[];
}

/** Who holds a block: holders hold the same, and of several devices of one holder each has a part. */
export interface Cell {
  readonly holders: readonly (readonly number[])[];
  /** How the parts are combined; empty where nothing is pending. */
  readonly combined: string;
}

export function gridsOf({ mesh, tensors }: MeshPicture): readonly Grid[] {
  return [meshGrid(mesh), ...tensors.map((tensor) => tensorGrid(tensor, mesh))];
}

function meshGrid(mesh: Mesh): Grid {
  const last = mesh.axes.at(-1)!;
  const places = (axes: Mesh['axes']): readonly string[] =>
    axes.reduce<readonly string[]>(
      (labels, { name, size }) =>
        labels.flatMap((label) =>
          Array.from({ length: size }, (_, at) => `${label === '' ? '' : `${label}, `}${name}=${at}`),
        ),
      [''],
    );
  const rows = places(mesh.axes.slice(0, -1));
  return {
    title: `mesh ${mesh.axes.map(({ name, size }) => `${name}=${size}`).join(', ')}: ${counted(deviceCount(mesh), 'device')}`,
    notes: [],
    rows,
    columns: places([last]),
    cells: rows.map((_, row) =>
      Array.from({ length: last.size }, (_, column) => ({
        holders: [[row * last.size + column]],
        combined: '',
      })),
    ),
  };
}

function tensorGrid(tensor: TensorPicture, mesh: Mesh): Grid {
  const { dims, blocks } = tensor;
  const cut = dims.filter((dim) => dim.blocks.length > 1);
  // What is cut last runs to the right, unless dimensions behind it are whole.
  const behind = cut.length === 1 && cut[0] !== dims.at(-1) ? 0 : 1;
  const [down, across] = [cut.slice(0, cut.length - behind), cut.slice(cut.length - behind)];
  const [rows, columns] = [labelsOf(down), labelsOf(across)];
  const combined = combinedText(tensor);
  return {
    title: titleOf(tensor),
    notes: notesOf(tensor, mesh),
    rows,
    columns,
    cells: rows.map((_, row) =>
      columns.map((_, column) => ({
        holders: blocks[row * columns.length + column]!.holders,
        combined,
      })),
    ),
  };
}

/**
 * One for each combination of the dimensions' blocks; a single empty one where none is cut. Of one dimension
 * the first alone says its name.
 */
function labelsOf(dims: readonly DimPicture[]): readonly string[] {
  const [only] = dims;
  if (only !== undefined && dims.length === 1)
    return only.blocks.map((range, place) => (place === 0 ? `${only.name} ` : '') + rangeText(range));
  return dims.reduce<readonly string[]>(
    (labels, { name, blocks }) =>
      labels.flatMap((label) =>
        blocks.map((range) => `${label === '' ? '' : `${label}, `}${name} ${rangeText(range)}`),
      ),
    [''],
  );
}

function rangeText({ begin, end }: IndexRange): string {
  if (begin === end) return 'none';
  return end - begin === 1 ? `${begin}` : `${begin}…${end - 1}`;
}

function titleOf({ role, name, dtype, dims, pending }: TensorPicture): string {
  const cut = dims.map(({ extent, axes }) => `${extent}${showList(axes)}`).join(', ');
  const waiting = showPending(new Map(pending.map(({ axis, combiner }) => [axis, combiner])));
  const label = role === 'tensor' ? '' : `${role} `;
  return `${label}${name}: ${dtype}${dims.length === 0 ? '' : `[${cut}]`}${waiting}`;
}

const symbols = { sum: 'Σ', max: 'max', min: 'min' } as const;

function combinedText({ pending }: TensorPicture): string {
  return [...new Set(pending.map(({ combiner }) => symbols[combiner]))].join(' ');
}

function notesOf({ dtype, dims, pending, blocks, blockBytes }: TensorPicture, mesh: Mesh): readonly string[] {
  const shape = dims.map(({ blocks: [first] }) => first!.end - first!.begin);
  const names = dims.map(({ name }) => name).join(', ');
  const copies = deviceCount(mesh) / blocks.length;
  const replicas = blocks[0]!.holders.length;
  return [
    `${names === '' ? '' : `[${names}] · `}each device holds ${typeText({ dtype, shape })}, ${bytesText(blockBytes)}` +
      `${replicas > 1 ? `; each block is on ${counted(copies, 'device')}` : ''}`,
    ...pending.map(
      ({ axis, combiner }) =>
        `${symbols[combiner]} over ${axis}: the value is the ${combiner} of what the devices in ${symbols[combiner]}(…) hold`,
    ),
  ];
}
