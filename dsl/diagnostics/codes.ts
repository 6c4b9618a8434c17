/**
 * What is said of each diagnostic code. Every stage has a table of its own codes; this makes one document of
 * them.
 */

export interface CodeEntry {
  readonly title: string;
  /** The rule, and why it is one; Markdown. */
  readonly explanation: string;
  /** A program that has the error. */
  readonly example: string;
  /** Where the program alone is right: the options of `ricci run` that are wrong for it. */
  readonly options?: string;
}

export interface CodeSection {
  readonly title: string;
  readonly codes: { readonly [code: string]: CodeEntry };
}

/** The error index, `docs/errors.md`: sections in the order given, codes in ascending order. */
export function renderErrorIndex(sections: readonly CodeSection[]): string {
  const introduction = [
    '# Error index',
    'Every diagnostic has a code that keeps its meaning from version to version.',
  ];
  const body = sections.flatMap(({ title, codes }) => [
    `## ${title}`,
    ...Object.entries(codes)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .flatMap(([code, entry]) => renderEntry(code, entry)),
  ]);
  return `${[...introduction, ...body].join('\n\n')}\n`;
}

function renderEntry(code: string, { title, explanation, example, options }: CodeEntry): readonly string[] {
  const program = `\`\`\`ricci error\n${example.trimEnd()}\n\`\`\``;
  const run = options === undefined ? [] : [`Run with \`${options}\`.`];
  return [`### ${code}: ${title}`, explanation, program, ...run];
}
