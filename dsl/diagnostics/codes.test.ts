import { expect, test } from 'vitest';
import { renderErrorIndex } from './codes.ts';

test('the error index lists every code of every section', () => {
  const index = renderErrorIndex([
    {
      title: 'Names',
      codes: {
        E0202: {
          title: 'Unknown module',
          explanation: 'There is none.',
          example: 'import x',
          options: '--size N=1',
        },
        E0201: { title: 'Unknown name', explanation: 'Nothing has it.', example: 'fn f() = y\n' },
      },
    },
    { title: 'Types', codes: {} },
  ]);
  expect(index).toBe(`# Error index

Every diagnostic has a code that keeps its meaning from version to version.

## Names

### E0201: Unknown name

Nothing has it.

\`\`\`ricci error
fn f() = y
\`\`\`

### E0202: Unknown module

There is none.

\`\`\`ricci error
import x
\`\`\`

Run with \`--size N=1\`.

## Types
`);
});
