/** The colours of diagnostics on a terminal. */

export type Style = 'error' | 'warning' | 'secondary' | 'gutter' | 'strong';

const codes: { readonly [S in Style]: string } = {
  error: '1;31',
  warning: '1;33',
  secondary: '1;34',
  gutter: '34',
  strong: '1',
};

export type Paint = (style: Style, text: string) => string;

export function painter(colour: boolean): Paint {
  return colour ? (style, text) => `\u001b[${codes[style]}m${text}\u001b[0m` : (_, text) => text;
}
