import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Diagnostic, Label } from './diagnostic.ts';
import { renderDiagnostic } from './render-terminal.ts';
import { displayLine } from './terminal-text.ts';

/** A span of the `occurrence`-th place where `part` stands in `text`. */
function label(file: string, text: string, part: string, message: string, occurrence = 0): Label {
  let start = text.indexOf(part);
  for (let count = 0; count < occurrence; count += 1) start = text.indexOf(part, start + 1);
  expect(start).toBeGreaterThanOrEqual(0);
  return { span: { file, start, end: start + part.length }, message };
}

function diagnostic(primary: Label, rest: Partial<Diagnostic> = {}): Diagnostic {
  return {
    severity: 'error',
    code: 'E0412',
    message: 'it is wrong',
    primary,
    secondary: [],
    notes: [],
    help: ['do it otherwise'],
    fixes: [],
    ...rest,
  };
}

function render(value: Diagnostic, sources: Readonly<Record<string, string>>, colour = false): string {
  return renderDiagnostic(value, new Map(Object.entries(sources)), { colour });
}

/** A golden text: without the first line break and the common indentation. */
function golden(text: string): string {
  const lines = text.split('\n').slice(1, -1);
  const indent = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join('\n');
}

const mlp = `fn mlp(x: bf16[T@dp, D]) -> bf16[T@dp, D] {
  let y[t, d] = sum f: h[t, f] * w.down[f, d]
  let z[t, d] = gelu(y[t, d])
  z
}
`;

describe('renderDiagnostic', () => {
  test('points at the source, with notes and help', () => {
    const value = diagnostic(
      label('mlp.ricci', mlp, 'y[t, d]', 'bf16[T@dp, D]{+tp}, pending since line 2', 1),
      {
        message: 'gelu needs the final value of y, which is still a sum over tp',
        notes: ['f is cut over tp'],
        help: ['all_reduce(y, tp)', 'reduce_scatter(y, tp, T)'],
      },
    );
    expect(render(value, { 'mlp.ricci': mlp })).toBe(
      golden(`
        error[E0412]: gelu needs the final value of y, which is still a sum over tp
          ┌─ mlp.ricci:3:22
        3 │   let z[t, d] = gelu(y[t, d])
          │                      ^^^^^^^ bf16[T@dp, D]{+tp}, pending since line 2
          = note: f is cut over tp
          = help: all_reduce(y, tp)
          = help: reduce_scatter(y, tp, T)
      `),
    );
  });

  test('secondary labels, on the same line, on an earlier one and in another file', () => {
    const block = 'import mlp\n\nfn block(x: f32) -> f32 = mlp.mlp(x)\n';
    const value = diagnostic(label('mlp.ricci', mlp, 'gelu', ''), {
      severity: 'warning',
      secondary: [
        label('mlp.ricci', mlp, 'z[t, d]', 'asked for here'),
        label('mlp.ricci', mlp, 'mlp', 'in this function'),
        label('block.ricci', block, 'mlp.mlp(x)', 'called from here'),
      ],
      fixes: [{ message: 'remove the call', edits: [] }],
    });
    expect(render(value, { 'mlp.ricci': mlp, 'block.ricci': block })).toBe(
      golden(`
        warning[E0412]: it is wrong
          ┌─ mlp.ricci:3:17
        1 │ fn mlp(x: bf16[T@dp, D]) -> bf16[T@dp, D] {
          │    --- in this function
          ·
        3 │   let z[t, d] = gelu(y[t, d])
          │                 ^^^^
          │       ------- asked for here
          ┌─ block.ricci:3:27
        3 │ fn block(x: f32) -> f32 = mlp.mlp(x)
          │                           ---------- called from here
          = help: do it otherwise
          = help: remove the call
      `),
    );
  });

  test('line numbers of different width', () => {
    const text = Array.from({ length: 12 }, (_, line) => `line${line + 1}`).join('\n');
    const value = diagnostic(label('a.ricci', text, 'line10', 'here'), {
      secondary: [label('a.ricci', text, 'line9', 'and\nthere')],
      notes: ['one\ntwo'],
    });
    expect(render(value, { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: it is wrong
           ┌─ a.ricci:10:1
         9 │ line9
           │ ----- and
           │       there
        10 │ line10
           │ ^^^^^^ here
           = note: one
                   two
           = help: do it otherwise
      `),
    );
  });

  test('a span over several lines', () => {
    const text = 'fn f() =\n  let h = sum d:\n    x[d]\n  h\n';
    const value = diagnostic(label('a.ricci', text, 'sum d:\n    x[d]', 'the reduction'), {
      secondary: [label('a.ricci', text, 'x', 'this operand')],
    });
    expect(render(value, { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:2:11
        2 │     let h = sum d:
          │ ╭───────────^
        3 │ │     x[d]
          │ │     - this operand
          │ ╰────────^ the reduction
          = help: do it otherwise
      `),
    );
  });

  test('long and nested spans over several lines', () => {
    const text = 'a {\n  b {\n    1\n    2\n    3\n    4\n    5\n  }\n}\n';
    const value = diagnostic(label('a.ricci', text, text.slice(2, -1), 'outer'), {
      secondary: [label('a.ricci', text, text.slice(8, -3), 'inner')],
    });
    expect(render(value, { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:1:3
        1 │     a {
          │ ╭─────^
        2 │ │     b {
          │ │ ╭─────-
          · │ │
        8 │ │ │   }
          │ │ ╰───- inner
        9 │ │   }
          │ ╰───^ outer
          = help: do it otherwise
      `),
    );
  });

  test('tabs and wide characters', () => {
    const text = '\tlet 名前 = "👍" + x';
    expect(render(diagnostic(label('a.ricci', text, '名前', 'wide')), { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:1:6
        1 │     let 名前 = "👍" + x
          │         ^^^^ wide
          = help: do it otherwise
      `),
    );
    expect(displayLine(text).columns.at(-1)).toBe(23);
  });

  test('the end of the file', () => {
    const atEnd = (text: string) =>
      diagnostic({ span: { file: 'a.ricci', start: text.length, end: text.length }, message: 'expected }' });
    expect(render(atEnd('fn f {'), { 'a.ricci': 'fn f {' })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:1:7
        1 │ fn f {
          │       ^ expected }
          = help: do it otherwise
      `),
    );
    expect(render(atEnd('fn f {\r\n'), { 'a.ricci': 'fn f {\r\n' })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:2:1
        2 │
          │ ^ expected }
          = help: do it otherwise
      `),
    );
  });

  test('a span that includes its line break stays on its line', () => {
    const text = 'let x\r\nlet y\n';
    expect(render(diagnostic(label('a.ricci', text, 'let x\r\n', 'all of it')), { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ a.ricci:1:1
        1 │ let x
          │ ^^^^^ all of it
          = help: do it otherwise
      `),
    );
  });

  test('a file that is not there', () => {
    const value = diagnostic({ span: { file: 'gone.ricci', start: 3, end: 4 }, message: 'here' });
    expect(render(value, {})).toBe(
      golden(`
        error[E0412]: it is wrong
          ┌─ gone.ricci
          │ here
          = help: do it otherwise
      `),
    );
  });

  test('control characters of the source and the message do not reach the terminal', () => {
    const text = 'let \u001b[31m\u202e = 1';
    const value = diagnostic(label('a.ricci', text, '\u001b', 'the character \u001b'), {
      message: 'odd \u0007',
    });
    expect(render(value, { 'a.ricci': text })).toBe(
      golden(`
        error[E0412]: odd ␇
          ┌─ a.ricci:1:5
        1 │ let ␛[31m\ufffd = 1
          │     ^ the character ␛
          = help: do it otherwise
      `),
    );
  });

  test('of a very long line, the part around the mark', () => {
    const text = `${'a '.repeat(400)}wrong ${'b '.repeat(400)}`;
    const shown = render(diagnostic(label('a.ricci', text, 'wrong', 'here')), { 'a.ricci': text });
    const [, , line = '', mark = ''] = shown.split('\n');
    expect(line.length).toBeLessThan(180);
    expect(line).toMatch(/^1 │ …[a ]+wrong [b ]+…$/);
    expect(mark.indexOf('^')).toBe(line.indexOf('wrong'));
    expect(mark).toMatch(/\^{5} here$/);
  });

  test('colour adds escape sequences and nothing else', () => {
    const value = diagnostic(label('mlp.ricci', mlp, mlp.slice(10, 90), 'all'), {
      secondary: [label('mlp.ricci', mlp, 'x', 'one')],
      notes: ['why'],
    });
    const sources = { 'mlp.ricci': mlp };
    const coloured = render(value, sources, true);
    expect(coloured).toContain('\u001b[1;31merror[E0412]\u001b[0m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(coloured.replace(/\u001b\[[\d;]*m/g, '')).toBe(render(value, sources));
  });

  test('renders any spans of any text', () => {
    const span = fc.record({ file: fc.constantFrom('a', 'b', 'c'), start: fc.nat(60), end: fc.nat(60) });
    const labels = fc.record({ span, message: fc.string({ unit: 'grapheme' }) });
    const text = fc.string({
      unit: fc.constantFrom('a', '\n', '\r\n', '\t', '名', '\u0301', '👍'),
      maxLength: 40,
    });
    fc.assert(
      fc.property(labels, fc.array(labels, { maxLength: 4 }), text, text, (primary, secondary, a, b) => {
        const shown = render(diagnostic(primary, { secondary }), { a, b });
        expect(shown.split('\n')[0]).toBe('error[E0412]: it is wrong');
        expect(shown).not.toMatch(/[\t\r]|\s\n/);
      }),
    );
  });
});
