import { expect, test } from 'vitest';
import type { Diagnostic } from './diagnostic.ts';
import { diagnosticsToJson } from './render-json.ts';

test('the shape of version 1', () => {
  const text = 'fn f(x: f32) =\n  y +\n  x\n';
  const file = 'a.ricci';
  const diagnostic: Diagnostic = {
    severity: 'error',
    code: 'E0201',
    message: 'nothing is called y',
    primary: { span: { file, start: text.indexOf('y'), end: text.indexOf('x\n') + 1 }, message: 'in this' },
    secondary: [{ span: { file: 'gone.ricci', start: 5, end: 6 }, message: 'elsewhere' }],
    notes: ['a note'],
    help: ['write x'],
    fixes: [{ message: 'write x', edits: [{ span: { file, start: 17, end: 18 }, text: 'x' }] }],
  };
  expect(diagnosticsToJson([diagnostic], new Map([[file, text]]))).toEqual({
    version: 1,
    diagnostics: [
      {
        code: 'E0201',
        severity: 'error',
        message: 'nothing is called y',
        file,
        line: 2,
        column: 3,
        endLine: 3,
        endColumn: 4,
        label: 'in this',
        labels: [{ file: 'gone.ricci', line: 1, column: 1, endLine: 1, endColumn: 1, message: 'elsewhere' }],
        notes: ['a note'],
        help: ['write x'],
        fixes: [
          {
            message: 'write x',
            edits: [{ file, line: 2, column: 3, endLine: 2, endColumn: 4, text: 'x' }],
          },
        ],
      },
    ],
  });
});
