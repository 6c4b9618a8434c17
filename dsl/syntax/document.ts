/**
 * A document is a text with all its possible line breaks; `render` picks the ones that keep lines short.
 *
 * After Lindig, "Strictly Pretty" (2000): a group is laid out flat where it fits on the rest of the line,
 * else its own breaks are taken and the groups inside decide for themselves. Two things are added. A `choice`
 * tries whole layouts in order. And a `hard` break inside a group breaks it and every group around it,
 * because flat is then no option.
 */
export type Doc = string | readonly Doc[] | Break | Group | Indent | Choice | WhenBroken | Remark;

interface Break {
  readonly kind: 'break';
  /** What stands there when the group is flat. */
  readonly flat: string;
  readonly hard: boolean;
}

interface Group {
  readonly kind: 'group';
  readonly content: Doc;
  readonly hard: boolean;
}

interface Indent {
  readonly kind: 'indent';
  readonly content: Doc;
  readonly hard: boolean;
}

interface Choice {
  readonly kind: 'choice';
  readonly options: readonly Doc[];
  readonly hard: boolean;
}

interface WhenBroken {
  readonly kind: 'when-broken';
  readonly text: string;
}

interface Remark {
  readonly kind: 'remark';
  readonly text: string;
  readonly hard: true;
}

/** A space, or a new line. */
export const line: Doc = { kind: 'break', flat: ' ', hard: false };
/** Nothing, or a new line. */
export const softLine: Doc = { kind: 'break', flat: '', hard: false };
/** Always a new line. */
export const hardLine: Doc = { kind: 'break', flat: '', hard: true };

export function group(...content: readonly Doc[]): Doc {
  return { kind: 'group', content, hard: isHard(content) };
}

/** The same group with its breaks taken, whether or not it would fit. */
export function broken(doc: Doc): Doc {
  return { kind: 'group', content: isNode(doc) && doc.kind === 'group' ? doc.content : doc, hard: true };
}

export function indent(...content: readonly Doc[]): Doc {
  return { kind: 'indent', content, hard: isHard(content) };
}

/**
 * The first option of which every line fits; the last one if none does. A break that an option itself takes
 * is `hardLine`; groups inside an option count as flat unless they are hard, and then only up to their first
 * new line.
 */
export function choice(...options: readonly [Doc, ...Doc[]]): Doc {
  return { kind: 'choice', options, hard: isHard(options[0]) };
}

/** A text that is there only if the group around it is broken. */
export function whenBroken(text: string): Doc {
  return { kind: 'when-broken', text };
}

/**
 * A comment up to the end of the line. It takes no room: code is not broken because the remark behind it is
 * long. Nothing may follow it on its line, so it breaks what it is in as a hard break does; a break has to
 * come next.
 */
export function remark(text: string): Doc {
  return { kind: 'remark', text, hard: true };
}

export function join(separator: Doc, docs: readonly Doc[]): Doc[] {
  return docs.flatMap((doc, position) => (position === 0 ? [doc] : [separator, doc]));
}

function isNode(doc: Doc): doc is Exclude<Doc, string | readonly Doc[]> {
  return typeof doc !== 'string' && 'kind' in doc;
}

/** Whether a new line is certain, however wide the page. */
export function isHard(doc: Doc): boolean {
  if (typeof doc === 'string') return false;
  if (!isNode(doc)) return doc.some(isHard);
  return 'hard' in doc && doc.hard;
}

const indentWidth = 2;

interface Command {
  readonly doc: Doc;
  readonly indentation: number;
  readonly flat: boolean;
}

/** The text, without white space at the ends of lines and without a last new line. */
export function render(doc: Doc, width: number): string {
  const lines: string[] = [];
  let current = '';
  const stack: Command[] = [{ doc, indentation: 0, flat: false }];
  for (let command = stack.pop(); command !== undefined; command = stack.pop()) {
    const { doc, indentation, flat } = command;
    if (typeof doc === 'string') {
      current += doc;
    } else if (!isNode(doc)) {
      for (const part of doc.toReversed()) stack.push({ doc: part, indentation, flat });
    } else {
      const room = width - current.length;
      switch (doc.kind) {
        case 'break':
          if (flat && !doc.hard) {
            current += doc.flat;
          } else {
            lines.push(current.trimEnd());
            current = ' '.repeat(indentation);
          }
          break;
        case 'indent':
          stack.push({ doc: doc.content, indentation: indentation + indentWidth, flat });
          break;
        case 'group': {
          const inside = { doc: doc.content, indentation };
          const fitting = flat || (!doc.hard && fits({ ...inside, flat: true }, stack, room, width));
          stack.push({ ...inside, flat: fitting });
          break;
        }
        case 'choice': {
          const first = doc.options.find(
            (option, position) =>
              position === doc.options.length - 1 ||
              fits({ doc: option, indentation, flat: true }, stack, room, width),
          );
          stack.push({ doc: first ?? '', indentation, flat });
          break;
        }
        case 'when-broken':
          if (!flat) current += doc.text;
          break;
        case 'remark':
          current += doc.text;
          break;
      }
    }
  }
  lines.push(current.trimEnd());
  return lines.join('\n');
}

/**
 * Whether `first` fits, with what follows it up to the next break that may become a new line. Breaks that
 * `first` takes for certain start a new line, which has to fit as well; those inside a hard group end the
 * question.
 */
function fits(first: Command, rest: readonly Command[], roomOnLine: number, width: number): boolean {
  let room = roomOnLine;
  let next = rest.length - 1;
  const stack: (Command & { readonly certain: boolean })[] = [{ ...first, certain: true }];
  while (room >= 0) {
    const command = stack.pop();
    if (command === undefined) {
      if (next < 0) return true;
      stack.push({ ...rest[next]!, certain: false });
      next -= 1;
      continue;
    }
    const { doc, indentation, flat, certain } = command;
    if (typeof doc === 'string') {
      room -= doc.length;
    } else if (!isNode(doc)) {
      for (const part of doc.toReversed()) stack.push({ doc: part, indentation, flat, certain });
    } else {
      switch (doc.kind) {
        case 'break':
          if (doc.hard && certain) room = width - indentation;
          else if (doc.hard || !flat) return true;
          else room -= doc.flat.length;
          break;
        case 'indent':
          stack.push({ doc: doc.content, indentation: indentation + indentWidth, flat, certain });
          break;
        case 'group':
          // What follows may still be broken, so it ends the question at its first break.
          if (doc.hard) stack.push({ doc: doc.content, indentation, flat: false, certain: false });
          else stack.push({ doc: doc.content, indentation, flat: flat || certain, certain });
          break;
        case 'choice':
          stack.push({ doc: doc.options[0] ?? '', indentation, flat, certain: certain && !doc.hard });
          break;
        case 'when-broken':
          if (!flat) room -= doc.text.length;
          break;
        case 'remark':
          break;
      }
    }
  }
  return false;
}
