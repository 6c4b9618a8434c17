/** `ricci explain --mesh-picture`: what is drawn, character by character. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../driver/package-root.ts';
import { runCommand } from './command.ts';
import { exitStatus } from './exit.ts';
import { runInProcess } from './testing.ts';

const program = `mesh (sp, tp, up)

export fn rows(x: f32[S@sp, D@tp], w: f32[D]) -> f32[S@sp] {
  let row[s] = sum d: x[s, d] * w[d]
  all_reduce(row, tp)
}

export fn heads(q: f32[S@sp, G@tp, A@up]) -> f32[S@sp, G@tp, A@up] = for s, g, a: q[s, g, a]

export fn partial(x: f32[S, D@tp]{max sp}) -> f32[S, D@tp]{max sp} = x
`;

let folder = '';
let file = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-picture-'));
  file = join(folder, 'rows.ricci');
  writeFileSync(file, program);
});
afterAll(() => rmSync(folder, { recursive: true }));

const rows = ['--entry', 'rows', '--size', 'S=64,D=32', '--mesh', 'sp=2,tp=4'];

async function draw(...options: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runInProcess('explain', file, ...options, '--mesh-picture');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** Without the first line break and the common indentation. */
function golden(text: string): string {
  return text.replace(/^\n/, '').replace(/^ {4}/gm, '').replace(/ +$/, '');
}

describe('the picture', () => {
  test('has the mesh, the inputs and the outputs', async () => {
    expect(await draw(...rows)).toBe(
      golden(`
    mesh sp=2, tp=4: 8 devices
           tp=0   tp=1   tp=2   tp=3
         ┌──────┬──────┬──────┬──────┐
    sp=0 │ 0    │ 1    │ 2    │ 3    │
         ├──────┼──────┼──────┼──────┤
    sp=1 │ 4    │ 5    │ 6    │ 7    │
         └──────┴──────┴──────┴──────┘

    input x: f32[64@sp, 32@tp]
      [S, D] · each device holds f32[32, 8], 1 KiB
             D 0…7   8…15   16…23   24…31
           ┌───────┬──────┬───────┬───────┐
    S 0…31 │ 0     │ 1    │ 2     │ 3     │
           ├───────┼──────┼───────┼───────┤
     32…63 │ 4     │ 5    │ 6     │ 7     │
           └───────┴──────┴───────┴───────┘

    input w: f32[32]
      [D] · each device holds f32[32], 128 bytes; each block is on 8 devices
    ┌─────┐
    │ 0…7 │
    └─────┘

    output out: f32[64@sp]
      [S] · each device holds f32[32], 128 bytes; each block is on 4 devices
      S 0…31    32…63
    ┌─────────┬─────────┐
    │ 0 1 2 3 │ 4 5 6 7 │
    └─────────┴─────────┘
    `),
    );
  });

  test('of a tensor in between says what is still to be summed', async () => {
    const drawn = await draw(...rows, '--tensor', 'row');
    expect(drawn.slice(drawn.indexOf('row'))).toBe(
      golden(`
    row: f32[64@sp]{+tp}
      [d0] · each device holds f32[32], 128 bytes
      Σ over tp: the value is the sum of what the devices in Σ(…) hold
      d0 0…31      32…63
    ┌────────────┬────────────┐
    │ Σ(0 1 2 3) │ Σ(4 5 6 7) │
    └────────────┴────────────┘
    `),
    );
  });

  test('shows copies of what is pending, and maxima', async () => {
    const partial = ['--entry', 'partial', '--size', 'S=2,D=4', '--mesh', 'sp=2,tp=2,up=2', '--tensor', 'x'];
    const drawn = await draw(...partial);
    expect(drawn.slice(drawn.indexOf('input x'))).toBe(
      golden(`
    input x: f32[2, 4@tp]{max sp}
      [S, D] · each device holds f32[2, 2], 16 bytes; each block is on 4 devices
      max over sp: the value is the max of what the devices in max(…) hold
      D 0…1               2…3
    ┌───────────────────┬───────────────────┐
    │ max(0 4) max(1 5) │ max(2 6) max(3 7) │
    └───────────────────┴───────────────────┘
    `),
    );
  });

  test('has a row for each combination of the first of three dimensions', async () => {
    const heads = ['--entry', 'heads', '--size', 'S=2,G=2,A=6', '--mesh', 'sp=2,tp=2,up=2', '--tensor', 'q'];
    const drawn = await draw(...heads);
    expect(drawn.slice(drawn.indexOf('input q'))).toBe(
      golden(`
    input q: f32[2@sp, 2@tp, 6@up]
      [S, G, A] · each device holds f32[1, 1, 3], 12 bytes
               A 0…2   3…5
             ┌───────┬─────┐
    S 0, G 0 │ 0     │ 1   │
             ├───────┼─────┤
    S 0, G 1 │ 2     │ 3   │
             ├───────┼─────┤
    S 1, G 0 │ 4     │ 5   │
             ├───────┼─────┤
    S 1, G 1 │ 6     │ 7   │
             └───────┴─────┘
    `),
    );
  });

  test('fits 80 columns, whatever the mesh, and says what it leaves out', async () => {
    for (const mesh of ['sp=16,tp=16', 'sp=256', 'tp=256', 'sp=2,tp=128', 'sp=64,up=4']) {
      const drawn = await draw('--entry', 'rows', '--size', 'S=4096,D=4096', '--mesh', mesh);
      const lines = drawn.split('\n');
      expect([mesh, Math.max(...lines.map((line) => line.length)) <= 80]).toEqual([mesh, true]);
      expect(drawn).toMatch(/^ {2}\d+ of \d+ (rows|columns)( and \d+ of \d+ columns)? are shown$/m);
      expect(lines.length).toBeLessThan(120);
    }
  });

  test('is coloured by device where its reader wants that', async () => {
    let [coloured, plain] = ['', ''];
    const err = { write: () => undefined };
    const args = ['explain', file, ...rows, '--mesh-picture'];
    const colour = { colour: false, err };
    await runCommand(args, { ...colour, out: { write: (text) => (coloured += text) }, outColour: true });
    await runCommand(args, { ...colour, out: { write: (text) => (plain += text) }, outColour: false });
    expect(plain).not.toContain('\u001b');
    expect(coloured).toContain('\u001b[36m0\u001b[0m');
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });

  test('is an object under --json', async () => {
    const { tensors } = JSON.parse(await draw(...rows, '--tensor', 'row', '--json')) as {
      tensors: readonly unknown[];
    };
    expect(tensors).toEqual([
      {
        role: 'tensor',
        name: 'row',
        dtype: 'f32',
        dims: [
          {
            name: 'd0',
            extent: 64,
            axes: ['sp'],
            blocks: [
              { begin: 0, end: 32 },
              { begin: 32, end: 64 },
            ],
          },
        ],
        pending: [{ axis: 'tp', combiner: 'sum' }],
        blocks: [{ holders: [[0, 1, 2, 3]] }, { holders: [[4, 5, 6, 7]] }],
        blockBytes: 128,
      },
    ]);
  });
});

/** Of a picture: each device number as often as it is drawn. */
function chips(svg: string): readonly number[] {
  return [...svg.matchAll(/<text class="device"[^>]*>(\d+)<\/text>/g)].map(([, device]) => Number(device));
}

/** Elements that are opened and closed in order; nothing else but text. */
function isWellFormed(xml: string): boolean {
  const open: string[] = [];
  for (const [tag, close, name = '', empty] of xml.matchAll(/<(\/?)(\w+)(?:\s+[\w:]+="[^"<]*")*\s*(\/?)>/g)) {
    if (tag.includes('&') && !/&(amp|lt|gt);/.test(tag)) return false;
    if (close !== '') {
      if (open.pop() !== name) return false;
    } else if (empty === '') open.push(name);
  }
  return open.length === 0 && !/<(?!\/?\w+[\s/>])/.test(xml);
}

describe('the SVG', () => {
  const svgOf = async (...options: readonly string[]): Promise<string> => {
    const target = join(folder, 'picture.svg');
    expect(await draw(...options, '--svg', target)).toBe(`written to ${target}\n`);
    return readFileSync(target, 'utf8');
  };

  test('draws each device in each tensor, the same bytes each time', async () => {
    const svg = await svgOf(...rows);
    expect(await svgOf(...rows)).toBe(svg);
    expect(isWellFormed(svg)).toBe(true);
    expect(isWellFormed(svg.replace('</svg>', ''))).toBe(false);
    const all = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(chips(svg)).toEqual([...all, ...all, ...all, ...all]);
    expect(svg).not.toMatch(/<script|href|on\w+=/);
  });

  test('counts what it does not draw of 256 devices', async () => {
    const svg = await svgOf('--entry', 'rows', '--size', 'S=256,D=256', '--mesh', 'sp=256');
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).toContain('31 of 256 rows are shown');
    expect(svg).toContain('and 224 more');
  });

  test('in the documentation is what the command draws', async () => {
    const page = readFileSync(join(packageRoot, 'docs/placement.md'), 'utf8');
    const [, text = ''] = /```ricci\n(mesh \(dp, tp\)[\s\S]*?)```/.exec(page) ?? [];
    const mlp = join(folder, 'mlp.ricci');
    const picture = join(folder, 'mesh-picture.svg');
    writeFileSync(mlp, text);
    const args = ['--size', 'T=64,D=32,F=128', '--mesh', 'dp=2,tp=4', '--mesh-picture', '--svg', picture];
    const tensors = ['--tensor', 'x', '--tensor', 'up', '--tensor', 'h', '--tensor', 'y'];
    expect(await runInProcess('explain', mlp, ...args, ...tensors)).toMatchObject({ status: 0 });
    const shown = join(packageRoot, 'docs/pictures/mesh-picture.svg');
    if (process.env.UPDATE_DOCS === '1') writeFileSync(shown, readFileSync(picture));
    expect(readFileSync(shown, 'utf8')).toBe(readFileSync(picture, 'utf8'));
  });
});

describe('what cannot be drawn is one error', () => {
  test.each([
    ['no mesh', ['--mesh-picture'], exitStatus.usage, 'none is given'],
    ['no picture for a tensor', ['--mesh', 'sp=2', '--tensor', 'row'], exitStatus.usage, '--tensor: for'],
    ['no picture for a file', ['--mesh', 'sp=2', '--svg', 'x.svg'], exitStatus.usage, 'add --mesh-picture'],
    [
      'a file of another kind',
      ['--mesh', 'sp=2', '--mesh-picture', '--svg', 'x.png'],
      exitStatus.usage,
      'x.png: a picture is written as .svg',
    ],
    [
      'a place that there is not',
      ['--mesh', 'sp=2', '--mesh-picture', '--svg', '/nowhere/x.svg'],
      exitStatus.diagnostic,
      'cannot write /nowhere/x.svg',
    ],
    [
      'no such tensor',
      ['--mesh', 'sp=2', '--mesh-picture', '--tensor', 'rows'],
      exitStatus.diagnostic,
      'there is no tensor rows, but one named row',
    ],
  ])('%s', async (_, options, wanted, message) => {
    const entry = ['--entry', 'rows', '--size', 'S=64,D=32'];
    const { status, stdout, stderr } = await runInProcess('explain', file, ...entry, ...options);
    expect({ status, stdout }).toEqual({ status: wanted, stdout: '' });
    expect(stderr.match(/^error/gm)).toHaveLength(1);
    expect(stderr).toContain(message);
  });
});
